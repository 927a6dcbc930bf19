import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toPreferences,
  type Preferences,
  type PreferencesDocument,
  type UpdatePreferencesInput,
} from '../../models/users/preferences.model';
import type { Caller } from '../../models/identity/session.model';
import { lockAccount } from './account-lock';
import type { EventBus } from '../kernel/event-bus';

/** Reads and changes the preferences of users, which apply to all of their devices. */
export class PreferenceService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly bus: EventBus,
  ) {}

  async get({ userId }: Caller): Promise<Preferences> {
    return toPreferences(await this.collections.preferences.findOne({ _id: userId }));
  }

  /** Changes the given fields. @throws AppError session_revoked when the account no longer exists */
  async update({ userId }: Caller, input: UpdatePreferencesInput): Promise<Preferences> {
    const fields = toFields(input);
    return this.transactions.run(async () => {
      const now = new Date();
      await lockAccount(this.collections, userId);
      const preferences = await this.collections.preferences.findOneAndUpdate(
        { _id: userId },
        { $set: { ...fields, updatedAt: now } },
        { upsert: true, returnDocument: 'after' },
      );
      if (!preferences) throw new Error('The preferences were not stored.');
      await this.bus.publish({ type: 'preferences.changed', preferences });
      return toPreferences(preferences);
    });
  }
}

function toFields({
  doNotDisturbUntil: until,
  extras,
  ...rest
}: UpdatePreferencesInput): Partial<PreferencesDocument> {
  const asGiven = Object.entries(rest).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(asGiven),
    ...(until !== undefined && { doNotDisturbUntil: until === null ? null : new Date(until) }),
    ...(extras && { extras: JSON.stringify(extras) }),
  };
}
