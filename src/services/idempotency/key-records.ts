import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { EncryptedValue } from '../../utils/encryption';

/** Thrown when a key has a record already. */
export class KeyTaken extends Error {
  override readonly name = 'KeyTaken';
}

/** The records of used keys, one for each, whose id only one call at a time can take. */
export class KeyRecords {
  constructor(private readonly collections: Pick<Collections, 'idempotencyKeys'>) {}

  /** The answer that a record holds: null while the write is under way, undefined without a record. */
  async find(_id: string): Promise<EncryptedValue | null | undefined> {
    const record = await this.collections.idempotencyKeys.findOne({ _id });
    if (!record) return undefined;
    if (record.expiresAt > new Date()) return record.sealed;
    // The database removes what is over, but not at the very moment. A holder who is alive has renewed it.
    await this.collections.idempotencyKeys.deleteOne({ _id, expiresAt: record.expiresAt });
    return undefined;
  }

  /** Takes a key for so many milliseconds. @returns what it is held by. @throws KeyTaken */
  async take(_id: string, lifetime: number): Promise<ObjectId> {
    const holder = new ObjectId();
    const record = { _id, sealed: null, holder, expiresAt: after(lifetime) };
    try {
      await this.collections.idempotencyKeys.insertOne(record);
    } catch (error) {
      if (duplicateIndex(error) !== undefined) throw new KeyTaken();
      throw error;
    }
    return holder;
  }

  /** Says that the write goes on. */
  async renew(_id: string, holder: ObjectId, lifetime: number): Promise<void> {
    await this.change(_id, holder, { expiresAt: after(lifetime) });
  }

  async finish(_id: string, holder: ObjectId, sealed: EncryptedValue, lifetime: number): Promise<void> {
    await this.change(_id, holder, { sealed, expiresAt: after(lifetime) });
  }

  /** Gives a key free whose write has failed. */
  async drop(_id: string, holder: ObjectId): Promise<void> {
    await this.collections.idempotencyKeys.deleteOne({ _id, holder, sealed: null });
  }

  private async change(
    _id: string,
    holder: ObjectId,
    fields: { sealed?: EncryptedValue; expiresAt: Date },
  ): Promise<void> {
    await this.collections.idempotencyKeys.updateOne({ _id, holder, sealed: null }, { $set: fields });
  }
}

function after(milliseconds: number): Date {
  return new Date(Date.now() + milliseconds);
}
