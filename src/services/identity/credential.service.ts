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

/** What CredentialService works with. */
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

/** What a user changes about how they prove who they are. Each dangerous act asks for the proof again. */
export class CredentialService {
  constructor(private readonly deps: CredentialServiceDeps) {}

  /**
   * Asks the caller for their password, and their second factor if they have one.
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

  /** Changes the password and ends every session; the answer begins a new one. */
  async changePassword(caller: Caller, input: ChangePasswordInput, origin: Origin): Promise<Credentials> {
    const user = await this.prove(caller, input, origin);
    refuseCommonPassword(input.newPassword, user.username);
    const passwordHash = await this.deps.passwords.hash(input.newPassword, origin, { continues: true });
    const changed = await this.setPassword(user, passwordHash, 'user.password_changed', origin);
    return this.deps.sessions.open(changed, origin);
  }

  /**
   * Mails a link to whoever owns the address. It answers the same, and as fast, for an unknown address.
   * @throws AppError mail_unavailable
   */
  forgotPassword(email: string): void {
    this.deps.mail.requireMail();
    this.deps.mail.send(() => this.composeResetMail(email));
  }

  /**
   * Mails a link to set a new password, whoever asks for it, and withdraws what is yet to be confirmed. The mail goes
   * out when the caller's transaction is committed.
   * @throws AppError mail_unavailable, email_missing when the account has no address
   */
  async mailResetLink(user: UserDocument): Promise<void> {
    this.deps.mail.requireMail();
    const { email } = user;
    if (email === undefined) {
      throw new AppError('email_missing', 'The account has no e-mail address that was confirmed.');
    }
    await this.deps.pending.withdraw(user._id);
    this.deps.mail.send(() => this.resetMail(user, email));
  }

  /** @throws AppError one_time_token_invalid, password_too_common, rate_limited, unavailable */
  async resetPassword(input: ResetPasswordInput, origin: Origin): Promise<void> {
    refuseCommonPassword(input.newPassword, '');
    await this.deps.tokens.requireValid('reset_password', input.token);
    // Hashing may be refused, so it comes before the token is spent.
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
   * Mails a link to the new address, which makes the change when it is followed, and one to the old address, which stops
   * it.
   * @throws AppError mail_unavailable, password_wrong, totp_required, totp_invalid, rate_limited
   */
  async changeEmail(caller: Caller, input: ChangeEmailInput, origin: Origin): Promise<void> {
    this.deps.mail.requireMail();
    await this.deps.emails.startChange(await this.prove(caller, input, origin), input.email, origin);
  }

  /** Withdraws a change of address that has not been confirmed; without one, nothing changes. */
  withdrawEmailChange({ userId }: Caller): Promise<void> {
    return this.deps.transactions.run(() => this.deps.pending.withdrawEmailChange(userId));
  }

  /**
   * Stops a change of address, or takes it back, with the token that was mailed to the old one. Somebody else knows the
   * password then: every session ends, and a link to set a new one goes to the old address.
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

  async resendVerification(caller: Caller): Promise<void> {
    this.deps.mail.requireMail();
    this.deps.emails.startVerification(await this.requireUser(caller.userId));
  }

  async setUpTotp(caller: Caller, proof: Proof, origin: Origin): Promise<TotpSetup> {
    return this.deps.totp.setUp(await this.prove(caller, proof, origin));
  }

  /** @returns the recovery codes. @throws AppError totp_not_enabled, totp_already_enabled, totp_invalid, rate_limited */
  async enableTotp(caller: Caller, code: string, origin: Origin): Promise<string[]> {
    const { username } = await this.requireUser(caller.userId);
    return this.deps.throttle.attempt(username, origin.address, () =>
      this.deps.totp.enable(caller, code, origin),
    );
  }

  async disableTotp(caller: Caller, proof: Proof, origin: Origin): Promise<void> {
    await this.prove(caller, proof, origin);
    await this.deps.totp.disable(caller.userId, origin);
  }

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
    // In one, or a crash in between would leave the sessions of whoever knew the old one.
    return this.deps.transactions.run(async () => {
      const { matchedCount } = await this.deps.collections.users.updateOne(
        // A link is for the owner of an address, who may have changed since the link was looked up.
        { _id, state: { $ne: 'deleted' }, ...(action === 'user.password_reset' && { email }) },
        { $set: { passwordHash, updatedAt: new Date() } },
      );
      if (matchedCount === 0) throw new AppError('session_revoked', 'The account no longer exists.');
      await this.deps.sessions.revokeAll(_id, 'password_changed');
      await this.deps.audit.record({ action, actorId: _id, targetId: _id, address });
      // Only now: ending the sessions has changed the account, too.
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
        'The link is good for an hour and for once. If you did not ask for it, there is nothing to do.',
    };
  }

  private async requireUser(_id: ObjectId): Promise<UserDocument> {
    const user = await this.deps.collections.users.findOne({ _id });
    if (!user) throw new AppError('session_revoked', 'The account no longer exists.');
    return user;
  }
}
