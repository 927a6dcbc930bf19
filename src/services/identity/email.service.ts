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

/** What EmailService works with. */
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
 * The e-mail addresses of accounts. Where mail is set up, an address belongs to an account once its owner has
 * followed a link: registering with a stranger's address tells nothing about it. Without mail, an address is
 * taken as given.
 */
export class EmailService {
  constructor(private readonly deps: EmailServiceDeps) {}

  /** How the address of a new account is kept. */
  fieldsForNewAccount(email: string): Pick<UserDocument, 'email' | 'emailKey' | 'pendingEmail'> {
    return this.deps.mail.isConfigured ? { pendingEmail: email } : { email, emailKey: emailKey(email) };
  }

  /** Asks the owner of the address that waits to be confirmed, if there is one, to confirm it. */
  startVerification(user: UserDocument): void {
    const address =
      user.emailChange?.email ?? user.pendingEmail ?? (user.emailVerifiedAt ? undefined : user.email);
    if (address !== undefined) this.deps.mail.send(() => this.composeConfirmation(user, address));
  }

  /**
   * Asks the owner of a new address to confirm it; until then the old one stands. Its owner is told at once, with a link
   * that stops the change.
   * @param user as they were when they proved who they are.
   * @throws AppError mail_unavailable, password_wrong (the password has been changed since)
   */
  async startChange(user: UserDocument, email: string, origin: Origin): Promise<void> {
    this.deps.mail.requireMail();
    const requestedAt = new Date();
    await this.deps.transactions.run(async () => {
      const { _id, passwordHash = '' } = user;
      const updated = await this.deps.collections.users.findOneAndUpdate(
        // Changing the password withdraws changes of address. One that was under way must not come after that.
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
      // Not throttled, or asking for many other mails would keep this one back.
      this.deps.mail.send(() => this.composeWarning(updated, old, requestedAt, origin));
    });
  }

  /**
   * Gives an account the address again from which somebody changes it, or has changed it, with the token that was mailed
   * there.
   * @returns the account, and the address.
   * @throws AppError one_time_token_invalid, also when another account has the address by now
   */
  async restore(token: string): Promise<{ user: UserDocument; email: string }> {
    const { userId, email } = await this.deps.tokens.redeem('stop_email_change', token);
    return { user: await this.assign({ _id: userId }, email, new Date()), email };
  }

  /**
   * Confirms an address with the token that was mailed to it. The one that it takes the place of gets a mail.
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
      // Without the address: the log outlives the account, whose personal data is to be erased.
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
    // Not throttled, or asking for many other mails would keep this one back. It leaves the new address out,
    // for the old one may be somebody else's by now.
    this.deps.mail.send(() => ({
      to: old,
      subject: 'Your e-mail address was changed',
      text:
        `The Parley account "${username}" has another e-mail address than this one since ${now.toUTCString()}. ` +
        `The change was made from ${origin.address}.\n\n` +
        'If it was you, there is nothing to do. If not, somebody knows your password. Follow the link in the mail ' +
        'that came here when the change was asked for: it takes the change back. Or log in as ' +
        `"${username}" at ${this.deps.publicUrl}, change the password, which ends every session, and then the ` +
        'e-mail address. If you cannot log in any more, ask the people who run the server.',
    }));
  }

  /** The account that owns an address. */
  findOwner(email: string): Promise<UserDocument | null> {
    return this.deps.collections.users.findOne({ emailKey: emailKey(email) });
  }

  /** Makes an address that of an account. @returns the user as they were. @throws AppError one_time_token_invalid */
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
      // Another account has got the same address in the meantime.
      if (duplicateIndex(error) === 'email_key_unique') throw invalidToken();
      throw error;
    }
  }

  /** It leaves the new address out, for the old one may be somebody else's by now. */
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
        'another e-mail address than this one. It changes when the new address is confirmed.\n\n' +
        'If it was you, there is nothing to do. If not, somebody knows your password. Follow this link to keep ' +
        'this address, end every session of the account and get a link to set a new password:\n\n' +
        `${this.deps.publicUrl}/#/stop-email-change?token=${token}\n\n` +
        'The link is good for three days and for once, also after the address has changed.',
    };
  }

  private async composeConfirmation(user: UserDocument, email: string): Promise<Mail | undefined> {
    if (!(await this.deps.throttle.countMail(email))) return undefined;
    const owner = await this.findOwner(email);
    if (owner && !owner._id.equals(user._id)) {
      return {
        to: owner.email ?? email,
        subject: 'You have an account already',
        text:
          `Somebody wanted to use this address for the Parley account "${user.username}". ` +
          `It belongs to your account "${owner.username}" already. If it was you, log in to that one or reset ` +
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
        'The link is good for a day. If you have no such account, there is nothing to do.',
    };
  }
}

function isSameAddress(one: string, other: string): boolean {
  return emailKey(one) === emailKey(other);
}

function invalidToken(): AppError {
  return new AppError('one_time_token_invalid', 'The link is not valid, was used or has expired.');
}
