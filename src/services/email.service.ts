import type { Collections } from '../db/collections';
import { CASE_INSENSITIVE } from '../db/indexes';
import { duplicateIndex } from '../db/mongodb';
import type { Origin } from '../models/session.model';
import type { UserDocument } from '../models/user.model';
import { AppError } from '../utils/errors';
import type { AuditService } from './audit.service';
import type { MailService } from './mail.service';
import type { OneTimeTokenService } from './one-time-token.service';
import type { ThrottleService } from './throttle.service';

/**
 * The e-mail addresses of accounts. Where mail is set up, an address belongs to an account once its owner has
 * followed a link: registering with a stranger's address tells nothing about it. Without mail, an address is
 * taken as given.
 */
export class EmailService {
  constructor(
    private readonly collections: Collections,
    private readonly mail: MailService,
    private readonly tokens: OneTimeTokenService,
    private readonly throttle: ThrottleService,
    private readonly audit: AuditService,
    /** Where links in mails lead: the address of the server. */
    private readonly publicUrl: string,
  ) {}

  /** How the address of a new account is kept. */
  ofNewAccount(email: string): Pick<UserDocument, 'email' | 'pendingEmail'> {
    return this.mail.isConfigured ? { pendingEmail: email } : { email };
  }

  /** Asks the owner of the account's address to confirm it. */
  async startVerification(user: UserDocument): Promise<void> {
    const address = user.pendingEmail ?? (user.emailVerifiedAt ? undefined : user.email);
    if (address !== undefined) await this.askToConfirm(user, address);
  }

  /** Asks the owner of a new address to confirm it; until then the old one stands. */
  async startChange(user: UserDocument, email: string): Promise<void> {
    this.mail.requireMail();
    await this.collections.users.updateOne(
      { _id: user._id, state: { $ne: 'deleted' } },
      { $set: { pendingEmail: email } },
    );
    await this.askToConfirm(user, email);
  }

  /** Confirms an address with the token that was mailed to it. @throws AppError one_time_token_invalid */
  async verify(token: string, origin: Origin): Promise<void> {
    const { userId, email } = await this.tokens.redeem('verify_email', token);
    const now = new Date();
    const confirm = {
      $set: { email, emailVerifiedAt: now, updatedAt: now },
      $unset: { pendingEmail: true },
    } as const;
    try {
      const updated = await this.collections.users.updateOne(
        { _id: userId, state: { $ne: 'deleted' }, $or: [{ email }, { pendingEmail: email }] },
        confirm,
      );
      if (updated.matchedCount === 0) throw invalidToken();
    } catch (error) {
      // Somebody else has confirmed the same address in the meantime.
      if (duplicateIndex(error) === 'email_unique') throw invalidToken();
      throw error;
    }
    // Without the address: the log outlives the account, whose personal data is to be erased.
    await this.audit.record({
      action: 'user.email_changed',
      actorId: userId,
      targetId: userId,
      address: origin.address,
    });
  }

  /** The account that owns an address. */
  findOwner(email: string): Promise<UserDocument | null> {
    return this.collections.users.findOne({ email }, { collation: CASE_INSENSITIVE });
  }

  private async askToConfirm(user: UserDocument, email: string): Promise<void> {
    if (!(await this.throttle.mayMail(email))) return;
    const owner = await this.findOwner(email);
    if (owner && !owner._id.equals(user._id)) {
      this.mail.send({
        to: owner.email ?? email,
        subject: 'You have an account already',
        text:
          `Somebody wanted to use this address for the Parley account "${user.username}". ` +
          `It belongs to your account "${owner.username}" already. If it was you, log in to that one or reset ` +
          'its password; if not, there is nothing to do.',
      });
      return;
    }
    const token = await this.tokens.create('verify_email', user._id, email);
    this.mail.send({
      to: email,
      subject: 'Confirm your e-mail address',
      text:
        `Confirm that this is the address of your Parley account "${user.username}":\n\n` +
        `${this.publicUrl}/#/verify-email?token=${token}\n\n` +
        'The link is good for a day. If you have no such account, there is nothing to do.',
    });
  }
}

function invalidToken(): AppError {
  return new AppError('one_time_token_invalid', 'The link is not valid, was used or has expired.');
}
