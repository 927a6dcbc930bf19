import {
  MongoServerError,
  type AnyBulkWriteOperation,
  type Collection,
  type Document,
  type Filter,
  type ObjectId,
} from 'mongodb';
import {
  canonicalName,
  displayNameKeysOf,
  emailKey,
  lookalikesOf,
  nameKeysOf,
  searchKey,
} from '../../utils/name-keys';
import type { Migration, MigrationRun } from './migration';

const BATCH = 500;
/** How often other users may take a name between the read and the write. */
const MAX_COLLISIONS = 100;

/** A document that an older version has written. */
interface Named extends Document {
  _id: ObjectId;
}

/** How the keys of one collection are filled in. */
interface Filling {
  collection: string;
  /** The documents without keys. */
  missing: Filter<Named>;
  keysOf: (document: Named) => Document;
  /** The unique keys, and the field within which they are unique. */
  uniqueFields: readonly string[];
  within?: string;
}

const FILLINGS: Filling[] = [
  {
    collection: 'users',
    missing: { nameLookalikes: { $exists: false }, state: { $ne: 'deleted' } },
    keysOf: ({ username, email, displayName }) => ({
      searchName: canonicalName(String(username)),
      nameLookalikes: lookalikesOf(String(username)),
      ...(typeof email === 'string' && { emailKey: emailKey(email) }),
      ...displayNameKeysOf(String(displayName)),
    }),
    uniqueFields: ['searchName', 'nameLookalikes', 'emailKey'],
  },
  {
    collection: 'users',
    missing: { displaySearch: { $exists: false }, state: 'deleted' },
    keysOf: ({ displayName }) => ({ displaySearch: searchKey(String(displayName)) }),
    uniqueFields: [],
  },
  {
    collection: 'groups',
    missing: { nameKey: { $exists: false } },
    keysOf: ({ name }) => ({ ...nameKeysOf(String(name)) }),
    uniqueFields: ['nameKey', 'nameLookalikes'],
  },
  {
    collection: 'channels',
    missing: { nameKey: { $exists: false }, kind: 'group' },
    keysOf: ({ name }) => ({ ...nameKeysOf(String(name)) }),
    uniqueFields: ['nameKey', 'nameLookalikes'],
    within: 'groupId',
  },
];

/**
 * Fills in the keys by which names and addresses are compared and searched. Where two names look alike, the older
 * document gets the key; the younger one keeps its name, gets a key of its own, and is reported.
 */
export const nameKeys: Migration = {
  number: 1,
  name: 'name-keys',
  kind: 'exclusive',
  obsoleteIndexes: {
    // Not `search` of users: see db/indexes.ts.
    users: ['username_unique', 'email_unique', 'display_name'],
    groups: ['name_unique'],
    channels: ['group_name_unique', 'name_order'],
  },
  up: async (run) => {
    const counts: Record<string, number> = {};
    for (const filling of FILLINGS) {
      const { filled, alike } = await fill(run, filling);
      counts[filling.collection] = (counts[filling.collection] ?? 0) + filled;
      counts['alike'] = (counts['alike'] ?? 0) + alike;
    }
    return counts;
  },
};

async function fill(run: MigrationRun, filling: Filling): Promise<{ filled: number; alike: number }> {
  const { db, dryRun, logger } = run;
  const collection = db.collection<Named>(filling.collection);
  const inUse = new KeysInUse(run, filling);
  let last: ObjectId | undefined;
  let filled = 0;
  let alike = 0;
  let collisions = 0;
  for (;;) {
    run.checkpoint({ collection: filling.collection, changed: filled });
    const batch = await collection
      .find({ ...filling.missing, ...(last && { _id: { $gt: last } }) })
      .sort({ _id: 1 })
      .limit(BATCH)
      .toArray();
    if (batch.length === 0) return { filled, alike };
    const writes: AnyBulkWriteOperation<Named>[] = [];
    const keysInUse = await inUse.lookUp(batch);
    for (const document of batch) {
      const { keys, taken } = keysInUse.claim(document);
      if (taken.length > 0) {
        alike++;
        logger.warn(
          { collection: filling.collection, id: document._id.toHexString(), fields: taken },
          'a name or address looks like another one; it stays, with a key of its own',
        );
      }
      writes.push({
        updateOne: { filter: { _id: document._id, ...filling.missing }, update: { $set: keys } },
      });
    }
    if (!dryRun && !(await store(collection, writes))) {
      // Another user has taken a name in the meantime: read the rest of the batch again.
      if (++collisions > MAX_COLLISIONS)
        throw new Error(`Names of ${filling.collection} are taken too fast.`);
      continue;
    }
    filled += batch.length;
    last = batch.at(-1)?._id;
  }
}

/** @returns false if another document has taken one of the keys in the meantime. */
async function store(
  collection: Collection<Named>,
  writes: AnyBulkWriteOperation<Named>[],
): Promise<boolean> {
  try {
    await collection.bulkWrite(writes);
    return true;
  } catch (error) {
    if (error instanceof MongoServerError && error.code === 11000) return false;
    throw error;
  }
}

/** The unique keys that documents already have. */
class KeysInUse {
  /** Also contains what a dry run would have stored. */
  private readonly claimed = new Set<string>();

  constructor(
    private readonly run: MigrationRun,
    private readonly filling: Filling,
  ) {}

  /** Looks up the keys of a batch. */
  async lookUp(batch: readonly Named[]): Promise<this> {
    const { collection, uniqueFields, keysOf, within } = this.filling;
    if (!this.run.dryRun) this.claimed.clear();
    const all = batch.map((document) => keysOf(document));
    for (const field of uniqueFields) {
      const keys = all.flatMap((each) => (each[field] ?? []) as string | string[]);
      const holders = await this.run.db
        .collection<Named>(collection)
        .find(
          {
            [field]: { $in: keys },
            ...(within && { [within]: { $in: batch.map((document) => document[within] as unknown) } }),
          },
          { projection: { [field]: 1, ...(within && { [within]: 1 }) } },
        )
        .toArray();
      for (const holder of holders) {
        // An older version has filled in one of the keys of users.
        if (batch.some(({ _id }) => _id.equals(holder._id))) continue;
        for (const key of [holder[field]].flat() as string[])
          this.claimed.add(this.entryOf(holder, field, key));
      }
    }
    return this;
  }

  /** Returns the keys for a document. `taken` names the fields whose keys another document has. */
  claim(document: Named): { keys: Document; taken: string[] } {
    const keys = this.filling.keysOf(document);
    const taken: string[] = [];
    for (const field of this.filling.uniqueFields) {
      const value = keys[field] as string | string[] | undefined;
      if (value === undefined) continue;
      const wanted = [value].flat();
      const free = wanted.filter((key) => !this.claimed.has(this.entryOf(document, field, key)));
      for (const key of free) this.claimed.add(this.entryOf(document, field, key));
      if (free.length === wanted.length) continue;
      taken.push(field);
      const own = `${wanted[0]}#${document._id.toHexString()}`;
      keys[field] = Array.isArray(value) ? [...free, own] : own;
    }
    return { keys, taken };
  }

  private entryOf(document: Named, field: string, key: string): string {
    const { within } = this.filling;
    return `${field} ${within ? String(document[within]) : ''} ${key}`;
  }
}
