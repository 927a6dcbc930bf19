import { decode } from '../bson/codec';
import { Long } from 'bson';
import type { Document, Value } from '../bson/types';
import type { Batch, BatchSource } from '../session/cursors';
import type { CommandContext } from './command';

const BATCH_BYTES = 16 * 1024 * 1024;

/** Batches of documents that are all in memory. */
export class DocumentBatches implements BatchSource {
  #documents: Uint8Array[];

  constructor(documents: Uint8Array[]) {
    this.#documents = documents;
  }

  next(limit: number | undefined): Promise<Batch> {
    const documents: Uint8Array[] = [];
    let bytes = 0;
    while (documents.length < (limit ?? Infinity)) {
      const next = this.#documents[documents.length];
      if (!next || (documents.length > 0 && bytes + next.length > BATCH_BYTES)) break;
      documents.push(next);
      bytes += next.length;
    }
    this.#documents = this.#documents.slice(documents.length);
    return Promise.resolve({ documents, ended: this.#documents.length === 0 });
  }

  close(): void {
    this.#documents = [];
  }
}

/** A cursor over listed documents, with the fields in the order of list commands. */
export async function documentCursor(
  context: CommandContext,
  namespace: string,
  documents: Uint8Array[],
): Promise<Document> {
  const batchSize = context.args.document('cursor')?.get('batchSize');
  const source = new DocumentBatches(documents);
  const batch = await source.next(batchSize === undefined ? undefined : Number(batchSize));
  const id = batch.ended
    ? 0n
    : context.engine.cursors.add({ namespace, source, owner: context.session?.id, keepForever: false });
  const cursor: Document = new Map<string, Value>([
    ['id', Long.fromBigInt(id)],
    ['ns', namespace],
    ['firstBatch', batch.documents.map(decode)],
  ]);
  return new Map([['cursor', cursor]]);
}
