import type {
  AnyBulkWriteOperation,
  AnyClientBulkWriteModel,
  Collection,
  Document,
  Filter,
  OptionalUnlessRequiredId,
  UpdateFilter,
} from 'mongodb';

/** One write of a list. */
export interface ListedWrite<Group> {
  collection: Collection<Document>;
  model: WriteModel;
  /** Whether it refuses the whole list if no document matches. */
  required: boolean;
  /** What the caller has added it for. */
  group: Group;
}

type WriteModel =
  | { kind: 'insertOne'; document: Document }
  | { kind: 'updateOne' | 'updateMany'; filter: Document; update: Document; upsert: boolean };

/**
 * Makes an update fail that matches no document: it would then insert one, with another `_id` than that of its filter,
 * which every MongoDB refuses with the code 66 (ImmutableField). So the server itself ends the transaction, and its error
 * names the write. Counting the matches of each write afterwards would require a result for each of them.
 */
const FAILS_ON_INSERT = { _id: null };
const IMMUTABLE_FIELD = 66;

/**
 * Writes to several collections that are sent together, by `Transactions.write`. The writes to a collection keep their
 * order. The collections are written in the order in which they first occur, or in the given one.
 * @typeParam Group describes for what a write was added. The error of a refused write names it.
 */
export class WriteList<Group> {
  private readonly byCollection = new Map<unknown, ListedWrite<Group>[]>();

  /** @param group of the writes that are added next. */
  constructor(public group: Group) {}

  /** All writes, in the order in which they are sent. */
  get all(): ListedWrite<Group>[] {
    return [...this.byCollection.values()].flat();
  }

  /** The writes to each collection. */
  get collections(): ListedWrite<Group>[][] {
    return [...this.byCollection.values()].filter((writes) => writes.length > 0);
  }

  /** Decides that these collections are written first, and in this order. */
  inOrder(collections: readonly unknown[]): this {
    for (const collection of collections) this.byCollection.set(collection, []);
    return this;
  }

  insert<Schema extends Document>(
    collection: Collection<Schema>,
    document: OptionalUnlessRequiredId<Schema>,
  ): void {
    this.add(collection, { kind: 'insertOne', document }, false);
  }

  /** Updates one document, or inserts it if none matches. */
  upsert<Schema extends Document>(
    collection: Collection<Schema>,
    filter: Filter<Schema>,
    update: UpdateFilter<Schema>,
  ): void {
    this.add(collection, { kind: 'updateOne', filter, update, upsert: true }, false);
  }

  /**
   * Updates one document that must match: otherwise nothing of the list is written.
   * @param filter contains the `_id`.
   */
  updateRequired<Schema extends Document>(
    collection: Collection<Schema>,
    filter: Filter<Schema> & Pick<Schema, '_id'>,
    update: UpdateFilter<Schema>,
  ): void {
    const failing = { ...update, $setOnInsert: FAILS_ON_INSERT };
    this.add(collection, { kind: 'updateOne', filter, update: failing, upsert: true }, true);
  }

  /** Updates one document, if it exists. */
  updateOne<Schema extends Document>(
    collection: Collection<Schema>,
    filter: Filter<Schema>,
    update: UpdateFilter<Schema>,
  ): void {
    this.add(collection, { kind: 'updateOne', filter, update, upsert: false }, false);
  }

  updateMany<Schema extends Document>(
    collection: Collection<Schema>,
    filter: Filter<Schema>,
    update: UpdateFilter<Schema>,
  ): void {
    this.add(collection, { kind: 'updateMany', filter, update, upsert: false }, false);
  }

  private add(collection: unknown, model: WriteModel, required: boolean): void {
    const write = { collection: collection as Collection<Document>, model, required, group: this.group };
    const writes = this.byCollection.get(collection);
    if (writes) writes.push(write);
    else this.byCollection.set(collection, [write]);
  }
}

/** A write of a list was refused. In a transaction, nothing of the list is written; otherwise nothing after it. */
export class WriteRefused<Group = unknown> extends Error {
  /** The name of the unique index that refused it; undefined for another reason. */
  readonly duplicateIndex: string | undefined;
  /** Whether no document matches an update that requires one. */
  readonly isUnmatched: boolean;

  constructor(
    readonly write: ListedWrite<Group>,
    { code, message }: { code?: number | string | undefined; message: string },
    cause: unknown,
  ) {
    super(message, { cause });
    this.duplicateIndex = code === 11000 ? (/index: ([^\s]+)/.exec(message)?.[1] ?? '') : undefined;
    this.isUnmatched = write.required && code === IMMUTABLE_FIELD;
  }
}

/** A write as `MongoClient.bulkWrite` takes it. */
export function toClientModel({
  collection,
  model,
}: ListedWrite<unknown>): AnyClientBulkWriteModel<Document> {
  const { namespace } = collection;
  if (model.kind === 'insertOne') return { name: 'insertOne', namespace, document: model.document };
  const { kind: name, filter, update, upsert } = model;
  return { name, namespace, filter, update, ...(upsert && { upsert }) };
}

/** A write as `Collection.bulkWrite` takes it. */
export function toCollectionModel({ model }: ListedWrite<unknown>): AnyBulkWriteOperation {
  if (model.kind === 'insertOne') return { insertOne: { document: model.document } };
  const { filter, update, upsert } = model;
  return model.kind === 'updateOne'
    ? { updateOne: { filter, update, upsert } }
    : { updateMany: { filter, update, upsert } };
}
