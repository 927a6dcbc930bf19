import type { Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { Origin } from '../../models/identity/session.model';
import type { UserDocument } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import { emailKey } from '../../utils/name-keys';
import type { AuditService } from '../audit/audit.service';
import type { Mail, MailService } from '../operations/mail.service';
import type { OneTimeTokenService } from './one-time-token.service';
import type { ThrottleService } from '../operations/throttle.service';

/** The dependencies of EmailService. */
export interface EmailServiceDeps {
  collections: Collections;
  transactions: Transactions;
  mail: MailService;
  tokens: OneTimeTokenService;
  throttle: ThrottleService;
  audit: AuditService;
  publicUrl: string;
}

/**
 * Manages the e-mail addresses of accounts. If mail is configured, an address belongs to an account only after its owner
 * has followed a link, so registering with another person's address reveals nothing about it. Without mail, addresses
 * are accepted unconfirmed.
 */
export class EmailService {
  constructor(private readonly deps: EmailServiceDeps) {}

  /** Returns the fields that store the address of a new account. */
  fieldsForNewAccount(email: string): Pick<UserDocument, 'email' | 'emailKey' | 'pendingEmail'> {
    return this.deps.mail.isConfigured ? { pendingEmail: email } : { email, emailKey: emailKey(email) };
  }

  /** Mails a confirmation link to the unconfirmed address of a user, if there is one. */
  startVerification(user: UserDocument): void {
    const address =
      user.emailChange?.email ?? user.pendingEmail ?? (user.emailVerifiedAt ? undefined : user.email);
    if (address !== undefined) this.deps.mail.send(() => this.composeConfirmation(user, address));
  }

  /**
   * Mails a confirmation link to a new address. Until it is confirmed, the old address remains; its owner gets a mail at
   * once, with a link that stops the change.
   * @param user the document as it was when the user proved who they are.
   * @throws AppError mail_unavailable, password_wrong (the password has been changed since)
   */
  async startChange(user: UserDocument, email: string, origin: Origin): Promise<void> {
    this.deps.mail.requireMail();
    const requestedAt = new Date();
    await this.deps.transactions.run(async () => {
      const { _id, passwordHash = '' } = user;
      const updated = await this.deps.collections.users.findOneAndUpdate(
        // A new password withdraws pending changes of the address, so a change that began before it must not be stored after it.
        { _id, passwordHash, state: { $ne: 'deleted' } },
        { $set: { emailChange: { email, requestedAt } } },
        { returnDocument: 'after' },
      );
      if (!updated) throw new AppError('password_wrong', 'The password has been changed.');
      await this.deps.audit.record({
        action: 'user.email_change_requested',
        actorId: _id,
        targetId: _id,
        address: origin.address,
      });
      this.deps.mail.send(() => this.composeConfirmation(updated, email));
      const { email: old } = updated;
      if (old === undefined || isSameAddress(old, email)) return;
      // Not throttled: otherwise an intruder could suppress this mail by requesting many others.
      this.deps.mail.send(() => this.composeWarning(updated, old, requestedAt, origin));
    });
  }

  /**
   * Restores the old address of an account whose address is being changed or has been changed, with the token that was
   * mailed to the old address.
   * @returns the account before this, and the address.
   * @throws AppError one_time_token_invalid, also when another account has taken the address since
   */
  async restore(token: string): Promise<{ user: UserDocument; email: string }> {
    const { userId, email } = await this.deps.tokens.redeem('stop_email_change', token);
    return { user: await this.assign({ _id: userId }, email, new Date()), email };
  }

  /**
   * Confirms an address with the token that was mailed to it. The address that it replaces gets a mail.
   * @throws AppError one_time_token_invalid
   */
  async verify(token: string, origin: Origin): Promise<void> {
    const now = new Date();
    const { before, email } = await this.deps.transactions.run(async () => {
      const { userId, email } = await this.deps.tokens.redeem('verify_email', token);
      const before = await this.assign(
        { _id: userId, $or: [{ email }, { pendingEmail: email }, { 'emailChange.email': email }] },
        email,
        now,
      );
      // Without the e-mail address: the log outlives the account, whose personal data must be erased.
      await this.deps.audit.record({
        action: 'user.email_changed',
        actorId: userId,
        targetId: userId,
        address: origin.address,
      });
      return { before, email };
    });
    const { username, email: old } = before;
    if (old === undefined || isSameAddress(old, email)) return;
    // Not throttled: otherwise an intruder could suppress this mail by requesting many others. It does not name the new
    // address, since the old one may belong to somebody else by now.
    this.deps.mail.send(() => ({
      to: old,
      subject: 'Your e-mail address was changed',
      text:
        `The e-mail address of the Parley account "${username}" was changed on ${now.toUTCString()}. ` +
        `The change was made from ${origin.address}.\n\n` +
        'If it was you, there is nothing to do. If not, somebody knows your password. Follow the link in the mail ' +
        'that was sent here when the change was requested: it reverts the change. Or log in as ' +
        `"${username}" at ${this.deps.publicUrl}, change the password, which ends every session, and then the ` +
        'e-mail address. If you can no longer log in, ask the administrators of the server.',
    }));
  }

  /** Finds the account that owns an address. */
  findOwner(email: string): Promise<UserDocument | null> {
    return this.deps.collections.users.findOne({ emailKey: emailKey(email) });
  }

  /** Assigns an address to an account. @returns the user before the change. @throws AppError one_time_token_invalid */
  private async assign(which: Filter<UserDocument>, email: string, now: Date): Promise<UserDocument> {
    try {
      const before = await this.deps.collections.users.findOneAndUpdate(
        { ...which, state: { $ne: 'deleted' } },
        {
          $set: { email, emailKey: emailKey(email), emailVerifiedAt: now, updatedAt: now },
          $unset: { pendingEmail: true, emailChange: true },
        },
        { returnDocument: 'before' },
      );
      if (!before) throw invalidToken();
      return before;
    } catch (error) {
      // Another account has taken the same address in the meantime.
      if (duplicateIndex(error) === 'email_key_unique') throw invalidToken();
      throw error;
    }
  }

  /** Does not name the new address, since the old one may belong to somebody else by now. */
  private async composeWarning(
    { _id, username }: UserDocument,
    old: string,
    requestedAt: Date,
    { address }: Origin,
  ): Promise<Mail> {
    const token = await this.deps.tokens.create('stop_email_change', _id, old);
    return {
      to: old,
      subject: 'Your e-mail address is about to change',
      text:
        `Somebody asked on ${requestedAt.toUTCString()}, from ${address}, to give the Parley account "${username}" ` +
        'a new e-mail address. It changes when the new address is confirmed.\n\n' +
        'If it was you, there is nothing to do. If not, somebody knows your password. Follow this link to keep ' +
        'this address, end every session of the account and get a link to set a new password:\n\n' +
        `${this.deps.publicUrl}/#/stop-email-change?token=${token}\n\n` +
        'The link is valid for three days and can be used once, even after the address has changed.',
    };
  }

  private async composeConfirmation(user: UserDocument, email: string): Promise<Mail | undefined> {
    if (!(await this.deps.throttle.countMail(email))) return undefined;
    const owner = await this.findOwner(email);
    if (owner && !owner._id.equals(user._id)) {
      return {
        to: owner.email ?? email,
        subject: 'You already have an account',
        text:
          `Somebody wanted to use this address for the Parley account "${user.username}". ` +
          `It already belongs to your account "${owner.username}". If it was you, log in to that account or reset ` +
          'its password; if not, there is nothing to do.',
      };
    }
    const token = await this.deps.tokens.create('verify_email', user._id, email);
    return {
      to: email,
      subject: 'Confirm your e-mail address',
      text:
        `Confirm that this is the address of your Parley account "${user.username}":\n\n` +
        `${this.deps.publicUrl}/#/verify-email?token=${token}\n\n` +
        'The link is valid for one day. If you have no such account, there is nothing to do.',
    };
  }
}

function isSameAddress(one: string, other: string): boolean {
  return emailKey(one) === emailKey(other);
}

function invalidToken(): AppError {
  return new AppError('one_time_token_invalid', 'The link is not valid, was used or has expired.');
}
