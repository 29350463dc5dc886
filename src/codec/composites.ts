import { assert } from "../lib/assert.ts";
import type { Codec } from "./codec.ts";

type Fields<T> = { readonly [K in keyof T]: Codec<T[K]> };

/** The fields one after the other, in the order in which they are declared. */
export function struct<T extends object>(fields: Fields<T>): Codec<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const codecs = names.map((name) => fields[name]);
  return {
    sizeMin: codecs.reduce((sum, codec) => sum + codec.sizeMin, 0),
    encode: (writer, value) => {
      names.forEach((name, index) => {
        (codecs[index] as Codec<unknown>).encode(writer, value[name]);
      });
    },
    decode: (reader) => {
      const value: Record<string, unknown> = {};
      names.forEach((name, index) => {
        value[name] = (codecs[index] as Codec<unknown>).decode(reader);
      });
      return value as T;
    },
  };
}

/** Up to `countMax` elements behind a u64 count. */
export function vec<T>(element: Codec<T>, countMax: number): Codec<readonly T[]> {
  const sizeEach = Math.max(1, element.sizeMin);
  return {
    sizeMin: 8,
    encode: (writer, values) => {
      assert(values.length <= countMax, `at most ${countMax} elements to encode, not ${values.length}`);
      writer.u64(values.length);
      for (const value of values) element.encode(writer, value);
    },
    decode: (reader) => {
      const count = reader.u64();
      if (count > countMax) reader.fail("length-over-limit", `${count} elements claimed, at most ${countMax} allowed`);
      if (count * sizeEach > reader.remaining) reader.fail("short", `${count} elements claimed, too few bytes left`);
      const values: T[] = [];
      for (let index = 0; index < count; index++) values.push(element.decode(reader));
      return values;
    },
  };
}

/** One byte 0 for null; one byte 1 and the value otherwise. */
export function option<T>(inner: Codec<T>): Codec<T | null> {
  return {
    sizeMin: 1,
    encode: (writer, value) => {
      writer.u8(value === null ? 0 : 1);
      if (value !== null) inner.encode(writer, value);
    },
    decode: (reader) => {
      const tag = reader.u8();
      if (tag > 1) reader.fail("not-canonical", `an option tag of ${tag}`);
      return tag === 0 ? null : inner.decode(reader);
    },
  };
}

type Kinds<T extends { kind: string }> = {
  readonly [K in T["kind"]]: Codec<Extract<T, { kind: K }>>;
};

/** A u32 variant tag, counted in the order of declaration, and the variant's own fields (see `variant`). */
export function union<T extends { kind: string }>(kinds: Kinds<T>): Codec<T> {
  const names = Object.keys(kinds) as T["kind"][];
  const codecs = names.map((name) => kinds[name] as unknown as Codec<T>);
  const tags = new Map(names.map((name, tag) => [name, tag]));
  return {
    sizeMin: 4 + Math.min(...codecs.map((codec) => codec.sizeMin)),
    encode: (writer, value) => {
      const tag = tags.get(value.kind);
      assert(tag !== undefined, `a variant without a tag: ${value.kind}`);
      writer.u32(tag);
      (codecs[tag] as Codec<T>).encode(writer, value);
    },
    decode: (reader) => {
      const tag = reader.u32();
      const codec = codecs[tag];
      if (codec === undefined) return reader.fail("unknown-variant", `variant ${tag} of ${names.length}`);
      return codec.decode(reader);
    },
  };
}

/** One variant of a union: its fields, with the `kind` put back when decoding. */
export function variant<T extends { kind: string }>(kind: T["kind"], fields: Fields<Omit<T, "kind">>): Codec<T> {
  const body = struct<Omit<T, "kind">>(fields);
  return {
    sizeMin: body.sizeMin,
    encode: (writer, value) => body.encode(writer, value),
    decode: (reader) => ({ kind, ...body.decode(reader) }) as unknown as T,
  };
}

/** The same bytes under another type in memory, such as a branded number. */
export function mapped<Wire, T>(wire: Codec<Wire>, to: (value: Wire) => T, from: (value: T) => Wire): Codec<T> {
  return {
    sizeMin: wire.sizeMin,
    encode: (writer, value) => wire.encode(writer, from(value)),
    decode: (reader) => to(wire.decode(reader)),
  };
}
