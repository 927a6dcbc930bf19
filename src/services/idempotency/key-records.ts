import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { EncryptedValue } from '../../utils/encryption';

/** The key has a record already. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

/** The records of used idempotency keys. One request at a time can claim the id of a record. */
export class KeyRecords {
  constructor(private readonly collections: Pick<Collections, 'idempotencyKeys'>) {}

  /** @returns the encrypted answer of a record; null while the write is running, undefined without a record. */
  async find(_id: string): Promise<EncryptedValue | null | undefined> {
    const record = await this.collections.idempotencyKeys.findOne({ _id });
    if (!record) return undefined;
    if (record.expiresAt > new Date()) return record.sealed;
    // The TTL index of the database removes expired records with a delay. A running holder would have renewed this one.
    await this.collections.idempotencyKeys.deleteOne({ _id, expiresAt: record.expiresAt });
    return undefined;
  }

  /** Claims a key. @returns the holder, which the other methods require. @throws KeyTaken */
  async claim(_id: string, lifetimeMs: number): Promise<ObjectId> {
    const holder = new ObjectId();
    const record = { _id, sealed: null, holder, expiresAt: expiryIn(lifetimeMs) };
    try {
      await this.collections.idempotencyKeys.insertOne(record);
    } catch (error) {
      if (duplicateIndex(error) !== undefined) throw new KeyTaken();
      throw error;
    }
    return holder;
  }

  /** Extends the claim of a write that is still running. */
  async renew(_id: string, holder: ObjectId, lifetimeMs: number): Promise<void> {
    await this.update(_id, holder, { expiresAt: expiryIn(lifetimeMs) });
  }

  /** Records the answer. */
  async complete(_id: string, holder: ObjectId, sealed: EncryptedValue, lifetimeMs: number): Promise<void> {
    await this.update(_id, holder, { sealed, expiresAt: expiryIn(lifetimeMs) });
  }

  /** Releases a key whose write has failed. */
  async release(_id: string, holder: ObjectId): Promise<void> {
    await this.collections.idempotencyKeys.deleteOne({ _id, holder, sealed: null });
  }

  private async update(
    _id: string,
    holder: ObjectId,
    fields: { sealed?: EncryptedValue; expiresAt: Date },
  ): Promise<void> {
    await this.collections.idempotencyKeys.updateOne({ _id, holder, sealed: null }, { $set: fields });
  }
}

function expiryIn(durationMs: number): Date {
  return new Date(Date.now() + durationMs);
}
