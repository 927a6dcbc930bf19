import type { Engine } from '../engine';
import type { WriteSteps } from './writer';
import { prefixKey } from './keys';

/** Keys that are removed in one step, so that writers in the queue wait no longer than for a large insert. */
const CHUNK = 5_000;

/** Deletes the records of dropped collections and indexes; resolves when all are deleted. */
export async function sweepDropped(engine: Engine): Promise<void> {
  if (engine.catalog.dropped().length === 0) return;
  await engine.writer.submit(function* (): WriteSteps<void> {
    for (const dropped of engine.catalog.dropped()) {
      const tree = engine.environment[dropped.tree];
      const range = { start: prefixKey(dropped.number), end: prefixKey(dropped.number + 1), limit: CHUNK };
      for (;;) {
        const keys = [...tree.getKeys({ ...range })];
        for (const key of keys) tree.removeSync(key);
        engine.writer.markChanged();
        if (keys.length < CHUNK) break;
        yield undefined;
      }
      engine.catalog.deleteDropped(dropped);
    }
  });
}
