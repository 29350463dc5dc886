/** What differs from machine to machine, or from call to call: an application that asks for it forks the network. */
const FORBIDDEN: readonly (readonly [owner: string, member: string])[] = [
  ["Math", "random"],
  ["Date", "now"],
  ["performance", "now"],
  ["crypto", "getRandomValues"],
  ["crypto", "randomUUID"],
  ["globalThis", "fetch"],
  ["globalThis", "setTimeout"],
  ["globalThis", "setInterval"],
];

/**
 * What `work` gives, and which of the world's own values it asked for: clock, randomness, network, timers. They answer as
 * ever, because a library may only look at them. Modules of the runtime, such as node:crypto, are not seen.
 */
export function watched<T>(work: () => T): { readonly value: T; readonly asked: readonly string[] } {
  const asked = new Set<string>();
  const restore: (() => void)[] = [];
  for (const [name, member] of FORBIDDEN) {
    const owner: object = name === "globalThis" ? globalThis : Reflect.get(globalThis, name);
    const place = name === "globalThis" ? member : `${name}.${member}`;
    restore.push(replaced(owner, member, (original) => noting(original, () => asked.add(place))));
  }
  // After `Date.now` was replaced, so that the new one has it too.
  restore.push(replaced(globalThis, "Date", (original) => notingDate(original, () => asked.add("new Date()"))));
  try {
    return { value: work(), asked: [...asked] };
  } finally {
    for (const each of restore.reverse()) each();
  }
}

function replaced(owner: object, member: string, by: (original: object) => object): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(owner, member);
  const original: unknown = Reflect.get(owner, member);
  if (typeof original !== "function") return () => undefined;
  const value = by(original);
  const isDone = Reflect.defineProperty(owner, member, { value, configurable: true, writable: true });
  return () => {
    if (!isDone) return;
    if (descriptor === undefined) Reflect.deleteProperty(owner, member);
    else Reflect.defineProperty(owner, member, descriptor);
  };
}

function noting(original: object, note: () => void): object {
  return new Proxy(original, {
    apply: (target, self, args) => {
      note();
      return Reflect.apply(target as () => unknown, self, args);
    },
  });
}

/** A date of given numbers is a value like any other. */
function notingDate(original: object, note: () => void): object {
  return new Proxy(original, {
    apply: (target, self, args) => {
      note();
      return Reflect.apply(target as () => unknown, self, args);
    },
    construct: (target, args, newTarget) => {
      if (args.length === 0) note();
      return Reflect.construct(target as DateConstructor, args, newTarget);
    },
  });
}
