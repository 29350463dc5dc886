import { breathe, type RunResult, runSeed } from "./campaign.ts";

/** `bun test/cluster/run-campaign.ts FROM TO N...`: runs these seeds at each size, prints what failed and the figures. */
const [from = "1", to = "200", ...sizes] = process.argv.slice(2);
for (const count of (sizes.length > 0 ? sizes : ["4", "7"]).map(Number)) {
  const results: RunResult[] = [];
  const startedMs = performance.now();
  for (let seed = Number(from); seed <= Number(to); seed++) {
    const result = runSeed({ seed, count });
    results.push(result);
    await breathe();
    if (result.verdict !== "pass") console.log(`seed ${seed}: ${result.verdict}: ${result.detail}`);
  }
  const total = (of: (result: RunResult) => number): number => results.reduce((sum, result) => sum + of(result), 0);
  console.log(
    `n=${count}: ${results.length} seeds, ${results.filter(({ verdict }) => verdict !== "pass").length} failed, ` +
      `${total(({ events }) => events)} events, ${total(({ places }) => places)} places, ${total(({ view }) => view)} views, ` +
      `${Math.round(total(({ virtualMs }) => virtualMs) / 1000)} s virtual, ${Math.round(performance.now() - startedMs)} ms`,
  );
}
