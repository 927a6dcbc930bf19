import type { Engine } from '../engine';
import type { Tree } from './environment';
import type { Writer, WriteSteps } from './writer';
import { prefixKey } from './keys';

/** Keys that are removed in one step, so that writers in the queue wait no longer than for a large insert. */
const CHUNK = 5_000;

/** Deletes the records of dropped collections and indexes; resolves when all are deleted. */
export async function sweepDropped(engine: Engine): Promise<void> {
  if (engine.catalog.dropped().length === 0) return;
  await engine.writer.submit(function* (): WriteSteps<void> {
    for (const dropped of engine.catalog.dropped()) {
      const { environment, textBuffer, writer } = engine;
      const tree = environment[dropped.tree];
      yield* removeAll(writer, tree, dropped.number, (key) => tree.removeSync(key));
      if (dropped.tree === 'entries') {
        yield* removeAll(writer, environment.buffer, dropped.number, (key) => textBuffer.remove(key));
      }
      engine.catalog.deleteDropped(dropped);
    }
  });
}

/** Removes the keys of a tree that begin with a number. */
function* removeAll(
  writer: Writer,
  tree: Tree,
  number: number,
  remove: (key: Buffer) => void,
): WriteSteps<void> {
  const range = { start: prefixKey(number), end: prefixKey(number + 1), limit: CHUNK };
  for (;;) {
    const keys = [...tree.getKeys({ ...range })];
    for (const key of keys) remove(key);
    writer.markChanged();
    if (keys.length < CHUNK) return;
    yield undefined;
  }
}
