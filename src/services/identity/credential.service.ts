import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { AuditAction } from '../../models/audit/audit.model';
import type { Caller, Origin } from '../../models/identity/session.model';
import type {
  ChangeEmailInput,
  ChangePasswordInput,
  Credentials,
  Proof,
  ResetPasswordInput,
  UserDocument,
} from '../../models/user.model';
import { AppError } from '../../utils/errors';
import type { AuditService } from '../audit/audit.service';
import type { EmailService } from './email.service';
import type { Mail, MailService } from '../operations/mail.service';
import type { OneTimeTokenService } from './one-time-token.service';
import type { PendingChanges } from './pending-changes';
import { refuseCommonPassword, type PasswordHasher } from './password';
import type { SessionService } from './session.service';
import type { ThrottleService } from '../operations/throttle.service';
import type { TotpService, TotpSetup } from './totp.service';

/** The dependencies of CredentialService. */
export interface CredentialServiceDeps {
  collections: Collections;
  transactions: Transactions;
  passwords: PasswordHasher;
  sessions: SessionService;
  totp: TotpService;
  emails: EmailService;
  mail: MailService;
  tokens: OneTimeTokenService;
  pending: PendingChanges;
  throttle: ThrottleService;
  audit: AuditService;
  publicUrl: string;
}

/** Changes the credentials of a user: password, e-mail address and second factor. Dangerous changes require the current ones. */
export class CredentialService {
  constructor(private readonly deps: CredentialServiceDeps) {}

  /**
   * Checks the password of the caller, and the second factor if it is enabled.
   * @throws AppError password_wrong, totp_required, totp_invalid, rate_limited, unavailable
   */
  async prove(caller: Caller, proof: Proof, origin: Origin): Promise<UserDocument> {
    const user = await this.requireUser(caller.userId);
    await this.deps.throttle.attempt(user.username, origin.address, async () => {
      if (!(await this.deps.passwords.matches(proof.password, user.passwordHash, origin))) {
        throw new AppError('password_wrong', 'The password is wrong.');
      }
      await this.deps.totp.check(user, proof.code, origin);
    });
    return user;
  }

  /** Changes the password, ends every session and opens a new one. */
  async changePassword(caller: Caller, input: ChangePasswordInput, origin: Origin): Promise<Credentials> {
    const user = await this.prove(caller, input, origin);
    refuseCommonPassword(input.newPassword, user.username);
    const passwordHash = await this.deps.passwords.hash(input.newPassword, origin, { continues: true });
    const changed = await this.setPassword(user, passwordHash, 'user.password_changed', origin);
    return this.deps.sessions.open(changed, origin);
  }

  /**
   * Sends a link to set a new password to the owner of the address. For an unknown address it behaves the same and takes
   * as long.
   * @throws AppError mail_unavailable
   */
  forgotPassword(email: string): void {
    this.deps.mail.requireMail();
    this.deps.mail.send(() => this.composeResetMail(email));
  }

  /**
   * Sends a user a link to set a new password, on behalf of an administrator as well, and withdraws all pending changes
   * of credentials. The mail is sent after the caller's transaction has committed.
   * @throws AppError mail_unavailable, email_missing when the account has no address
   */
  async mailResetLink(user: UserDocument): Promise<void> {
    this.deps.mail.requireMail();
    const { email } = user;
    if (email === undefined) {
      throw new AppError('email_missing', 'The account has no confirmed e-mail address.');
    }
    await this.deps.pending.withdraw(user._id);
    this.deps.mail.send(() => this.resetMail(user, email));
  }

  /** Sets a new password with a mailed token. @throws AppError one_time_token_invalid, password_too_common, rate_limited, unavailable */
  async resetPassword(input: ResetPasswordInput, origin: Origin): Promise<void> {
    refuseCommonPassword(input.newPassword, '');
    await this.deps.tokens.requireValid('reset_password', input.token);
    // Hashing may be refused under load, so it comes before the token is spent.
    const passwordHash = await this.deps.passwords.hash(input.newPassword, origin);
    const { userId, email } = await this.deps.tokens.redeem('reset_password', input.token);
    const user = await this.requireUser(userId);
    if (user.email !== email || user.state === 'deleted') {
      throw new AppError('one_time_token_invalid', 'The link is not valid, was used or has expired.');
    }
    await this.setPassword(user, passwordHash, 'user.password_reset', origin);
    await this.deps.throttle.recordSuccess(user.username, origin.address);
    await this.deps.throttle.recordSuccess(email, origin.address);
  }

  /**
   * Requests a change of the e-mail address: the link that is mailed to the new address makes the change, the link that
   * is mailed to the old address stops it.
   * @throws AppError mail_unavailable, password_wrong, totp_required, totp_invalid, rate_limited
   */
  async changeEmail(caller: Caller, input: ChangeEmailInput, origin: Origin): Promise<void> {
    this.deps.mail.requireMail();
    await this.deps.emails.startChange(await this.prove(caller, input, origin), input.email, origin);
  }

  /** Withdraws an unconfirmed change of the e-mail address, if there is one. */
  withdrawEmailChange({ userId }: Caller): Promise<void> {
    return this.deps.transactions.run(() => this.deps.pending.withdrawEmailChange(userId));
  }

  /**
   * Stops or reverts a change of the e-mail address, with the token that was mailed to the old address. An intruder
   * probably knows the password, so every session ends and a link to set a new one is mailed to the old address.
   * @throws AppError one_time_token_invalid
   */
  async stopEmailChange(token: string, origin: Origin): Promise<void> {
    await this.deps.transactions.run(async () => {
      const { user, email } = await this.deps.emails.restore(token);
      const { _id } = user;
      await this.deps.sessions.revokeAll(_id, 'revoked');
      const action = 'user.email_change_stopped';
      await this.deps.audit.record({ action, actorId: _id, targetId: _id, address: origin.address });
      this.deps.mail.send(() => this.resetMail(user, email));
    });
  }

  /** Mails the link to confirm the address again. @throws AppError mail_unavailable */
  async resendVerification(caller: Caller): Promise<void> {
    this.deps.mail.requireMail();
    this.deps.emails.startVerification(await this.requireUser(caller.userId));
  }

  /** Creates the secret of a second factor. @throws AppError totp_already_enabled, and those of `prove` */
  async setUpTotp(caller: Caller, proof: Proof, origin: Origin): Promise<TotpSetup> {
    return this.deps.totp.setUp(await this.prove(caller, proof, origin));
  }

  /** Enables the second factor. @returns the recovery codes. @throws AppError totp_not_enabled, totp_already_enabled, totp_invalid, rate_limited */
  async enableTotp(caller: Caller, code: string, origin: Origin): Promise<string[]> {
    const { username } = await this.requireUser(caller.userId);
    return this.deps.throttle.attempt(username, origin.address, () =>
      this.deps.totp.enable(caller, code, origin),
    );
  }

  /** Disables the second factor. @throws AppError totp_not_enabled, and those of `prove` */
  async disableTotp(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    await this.prove(caller, proof, origin);
    await this.deps.totp.disable(caller.userId, origin);
  }

  /** Replaces the recovery codes. @throws AppError totp_not_enabled, and those of `prove` */
  async renewRecoveryCodes(caller: Caller, proof: Proof, origin: Origin): Promise<string[]> {
    await this.prove(caller, proof, origin);
    return this.deps.totp.renewRecoveryCodes(caller.userId, origin);
  }

  private async setPassword(
    { _id, email }: UserDocument,
    passwordHash: string,
    action: AuditAction,
    { address }: Origin,
  ): Promise<UserDocument> {
    // One transaction: a crash in between would leave the sessions of somebody who knew the old password.
    return this.deps.transactions.run(async () => {
      const { matchedCount } = await this.deps.collections.users.updateOne(
        // A reset link is for the owner of the address, which the account may have lost since the link was looked up.
        { _id, state: { $ne: 'deleted' }, ...(action === 'user.password_reset' && { email }) },
        { $set: { passwordHash, updatedAt: new Date() } },
      );
      if (matchedCount === 0) throw new AppError('session_revoked', 'The account no longer exists.');
      await this.deps.sessions.revokeAll(_id, 'password_changed');
      await this.deps.audit.record({ action, actorId: _id, targetId: _id, address });
      // Read last, since ending the sessions changes the account as well.
      return this.requireUser(_id);
    });
  }

  private async composeResetMail(email: string): Promise<Mail | undefined> {
    const user = await this.deps.emails.findOwner(email);
    if (!user?.email || user.state === 'deleted' || !(await this.deps.throttle.countMail(user.email)))
      return undefined;
    return this.resetMail(user, user.email);
  }

  private async resetMail(user: UserDocument, email: string): Promise<Mail> {
    const token = await this.deps.tokens.create('reset_password', user._id, email);
    return {
      to: email,
      subject: 'Reset your password',
      text:
        `Set a new password for your Parley account "${user.username}":\n\n` +
        `${this.deps.publicUrl}/#/reset-password?token=${token}\n\n` +
        'The link is valid for one hour and can be used once. If you did not ask for it, you can ignore this mail.',
    };
  }

  private async requireUser(_id: ObjectId): Promise<UserDocument> {
    const user = await this.deps.collections.users.findOne({ _id });
    if (!user) throw new AppError('session_revoked', 'The account no longer exists.');
    return user;
  }
}
