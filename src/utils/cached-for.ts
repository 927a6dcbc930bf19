/**
 * Returns a function that reads a value at most once in a period, however often it is called. A failed read is repeated at
 * the next call.
 */
export function cachedFor<Value>(milliseconds: number, read: () => Promise<Value>): () => Promise<Value> {
  let cached: { value: Promise<Value>; until: number } | undefined;
  return () => {
    if (cached && performance.now() < cached.until) return cached.value;
    const own = { value: read(), until: performance.now() + milliseconds };
    cached = own;
    own.value.catch(() => {
      if (cached === own) cached = undefined;
    });
    return own.value;
  };
}
