const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0);

/**
 * The first seed of a fuzzer: FUZZ_SEED, or a new one each time it is run for FUZZ_SECONDS. Otherwise always the
 * same, so that a run of all tests does the same each time.
 */
export const SEED = Number(process.env.FUZZ_SEED ?? (SECONDS > 0 ? Date.now() % 1e9 : 1));

/** Milliseconds that a fuzzer's test may take. */
export const TIMEOUT_MS = (SECONDS + 60) * 1000;

/** The rounds of a fuzzer: as many as fit into FUZZ_SECONDS, or the given number. */
export function* rounds(count: number): Iterable<number> {
  const end = Date.now() + SECONDS * 1000;
  for (let round = 0; SECONDS > 0 ? Date.now() < end : round < count; round++) yield round;
}
