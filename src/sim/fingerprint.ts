/**
 * A rolling 64-bit fingerprint of a run. Two runs of one seed must end with the same one, on any machine: only integers go
 * in, mixed with 32-bit arithmetic (the finalizer of MurmurHash3, Appleby). It finds accidents, not attackers.
 */
export class Fingerprint {
  #high = 0x9e37_79b9 | 0;
  #low = 0x85eb_ca6b | 0;

  number(value: number): void {
    this.#mix(value | 0);
    // Virtual times have fractions, and numbers may be above 2^32.
    this.#mix(Math.floor((value % 1) * 0x1_0000_0000) | 0);
    this.#mix(Math.floor(value / 0x1_0000_0000) | 0);
  }

  bytes(value: Uint8Array): void {
    this.#mix(value.length);
    const { length } = value;
    let index = 0;
    for (; index + 4 <= length; index += 4) {
      const [a = 0, b = 0, c = 0, d = 0] = [value[index], value[index + 1], value[index + 2], value[index + 3]];
      this.#mix(a | (b << 8) | (c << 16) | (d << 24));
    }
    for (; index < length; index++) this.#mix(value[index] ?? 0);
  }

  text(value: string): void {
    this.#mix(value.length);
    for (let index = 0; index < value.length; index++) this.#mix(value.charCodeAt(index));
  }

  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }

  #mix(value: number): void {
    let mixed = Math.imul(value ^ this.#low, 0xcc9e_2d51);
    mixed = (mixed << 15) | (mixed >>> 17);
    this.#high = (Math.imul(this.#high ^ mixed, 0x1b87_3593) + 0xe654_6b64) | 0;
    this.#low = Math.imul(this.#low ^ (this.#high >>> 13), 0x85eb_ca6b) ^ mixed;
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
