import { fromBase64 } from "./base64.ts";
import { CretoError } from "./creto-error.ts";

/** The members of a JSON object that a node sent. Every reader throws CretoError `bad-answer` where a member is not such. */
export class Fields {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(where, "is no object");
    this.#value = value as Readonly<Record<string, unknown>>;
    this.#where = where;
  }

  has(name: string): boolean {
    return this.#value[name] !== undefined && this.#value[name] !== null;
  }

  text(name: string): string {
    const value = this.#value[name];
    return typeof value === "string" ? value : this.#fail(name, "a text");
  }

  /** One of these words. */
  word<const W extends string>(name: string, words: readonly W[]): W {
    const value = this.text(name);
    return words.find((word) => word === value) ?? this.#fail(name, words.join(" or "));
  }

  number(name: string): number {
    const value = this.#value[name];
    return typeof value === "number" ? value : this.#fail(name, "a number");
  }

  /** A whole number, exact in JSON: 0 to 2^53 - 1. */
  count(name: string): number {
    const value = this.number(name);
    return Number.isSafeInteger(value) && value >= 0 ? value : this.#fail(name, "a whole number");
  }

  flag(name: string): boolean {
    const value = this.#value[name];
    return typeof value === "boolean" ? value : this.#fail(name, "true or false");
  }

  bytes(name: string): Uint8Array {
    return fromBase64(this.text(name)) ?? this.#fail(name, "base64");
  }

  amount(name: string): bigint {
    const value = this.text(name);
    return /^\d{1,20}$/.test(value) ? BigInt(value) : this.#fail(name, "a whole number in a text");
  }

  object(name: string): Fields {
    return new Fields(this.#value[name], `${this.#where}.${name}`);
  }

  list<T>(name: string, decode: (fields: Fields) => T): readonly T[] {
    return this.array(name).map((item, index) => decode(new Fields(item, `${this.#where}.${name}[${index}]`)));
  }

  texts(name: string): readonly string[] {
    return this.array(name).map((item) => (typeof item === "string" ? item : this.#fail(name, "a list of texts")));
  }

  bytesList(name: string): readonly Uint8Array[] {
    return this.texts(name).map((item) => fromBase64(item) ?? this.#fail(name, "a list of texts in base64"));
  }

  array(name: string): readonly unknown[] {
    const value = this.#value[name];
    return Array.isArray(value) ? value : this.#fail(name, "a list");
  }

  /** What `read` gives; null where the member is null or absent. */
  maybe<T>(name: string, read: (this: Fields, name: string) => T): T | null {
    return this.has(name) ? read.call(this, name) : null;
  }

  /** All members but these. */
  without(names: readonly string[]): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(this.#value).filter(([name]) => !names.includes(name)));
  }

  #fail(name: string, wanted: string): never {
    throw bad(`${this.#where}.${name}`, `is not ${wanted}`);
  }
}

function bad(where: string, what: string): CretoError {
  return new CretoError("bad-answer", `${where} ${what}: is this a cretoai node, and of this library's version?`);
}
