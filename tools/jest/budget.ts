const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0);

/**
 * The first seed of a fuzzer: FUZZ_SEED, or a new one for each run with FUZZ_SECONDS. Otherwise it is constant, so that
 * every run of the test suite is the same.
 */
export const SEED = Number(process.env.FUZZ_SEED ?? (SECONDS > 0 ? Date.now() % 1e9 : 1));

/** The timeout of the test of a fuzzer. */
export const TIMEOUT_MS = (SECONDS + 60) * 1000;

/** Yields the rounds of a fuzzer: as many as fit into FUZZ_SECONDS, or the given number. */
export function* rounds(count: number): Iterable<number> {
  const end = Date.now() + SECONDS * 1000;
  for (let round = 0; SECONDS > 0 ? Date.now() < end : round < count; round++) yield round;
}
