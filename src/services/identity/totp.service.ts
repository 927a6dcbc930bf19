import { randomBytes } from 'node:crypto';
import type { Filter, ObjectId, UpdateFilter } from 'mongodb';
import { generateSecret, generateURI, verify } from 'otplib';
import { toDataURL } from 'qrcode';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { AuditAction } from '../../models/audit/audit.model';
import type { Caller, Origin } from '../../models/identity/session.model';
import type { TotpState, UserDocument } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import { decrypt, encrypt, DecryptionError, type EncryptionKey } from '../../utils/encryption';
import type { AuditService } from '../audit/audit.service';
import { hashToken } from './token.service';

const RECOVERY_CODE_COUNT = 10;
/** By how much the clock of a phone may differ. */
const CLOCK_TOLERANCE_SECONDS = 30;

export interface TotpSetup {
  secret: string;
  otpauthUrl: string;
  qrCode: string;
}

/** Manages and checks the second factor: codes of an authenticator app (RFC 6238), and recovery codes for its loss. */
export class TotpService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly audit: AuditService,
    private readonly key: EncryptionKey,
    private readonly logger: Logger,
  ) {}

  /** Creates a secret. It takes effect when `enable` has checked a code. @throws AppError totp_already_enabled */
  async setUp(user: UserDocument): Promise<TotpSetup> {
    const secret = generateSecret();
    const encrypted = encrypt(this.key, secret, user._id.toHexString());
    const updated = await this.collections.users.updateOne(
      { _id: user._id, state: { $ne: 'deleted' }, 'totp.enabledAt': null },
      { $set: { totp: { secret: encrypted, enabledAt: null, lastStep: 0, recoveryHashes: [] } } },
    );
    if (updated.matchedCount === 0) {
      throw new AppError('totp_already_enabled', 'The second factor is already enabled; disable it first.');
    }
    const otpauthUrl = generateURI({ issuer: 'Parley', label: user.username, secret });
    return { secret, otpauthUrl, qrCode: await toDataURL(otpauthUrl) };
  }

  /**
   * Enables the second factor.
   * @returns the recovery codes.
   * @throws AppError totp_not_enabled, totp_already_enabled, totp_invalid
   */
  async enable(caller: Caller, code: string, origin: Origin): Promise<string[]> {
    const user = await this.collections.users.findOne({ _id: caller.userId });
    if (!user?.totp) throw new AppError('totp_not_enabled', 'Set the second factor up first.');
    if (user.totp.enabledAt)
      throw new AppError('totp_already_enabled', 'The second factor is already enabled.');
    const { codes, hashes } = createRecoveryCodes();
    const step = await this.findTimeStep(user._id, user.totp, code);
    const enabled =
      step !== undefined &&
      (await this.change(
        'user.totp_enabled',
        { _id: user._id, 'totp.secret.box': user.totp.secret.box, 'totp.enabledAt': null },
        { $set: { 'totp.enabledAt': new Date(), 'totp.lastStep': step, 'totp.recoveryHashes': hashes } },
        origin,
      ));
    if (!enabled) throw invalidCode();
    return codes;
  }

  /** Replaces the recovery codes. @throws AppError totp_not_enabled */
  async renewRecoveryCodes(userId: ObjectId, origin: Origin): Promise<string[]> {
    const { codes, hashes } = createRecoveryCodes();
    const update = { $set: { 'totp.recoveryHashes': hashes } };
    await this.changeEnabled('user.recovery_codes_renewed', userId, update, origin);
    return codes;
  }

  /** Disables the second factor. @throws AppError totp_not_enabled */
  async disable(userId: ObjectId, origin: Origin): Promise<void> {
    await this.changeEnabled('user.totp_disabled', userId, { $set: { totp: null } }, origin);
  }

  /**
   * Checks the second factor of a user who has one. Each code is accepted once.
   * @throws AppError totp_required, totp_invalid, totp_unavailable
   */
  async check(user: UserDocument, code: string | undefined, origin: Origin): Promise<void> {
    if (!user.totp?.enabledAt) return;
    if (code === undefined) throw new AppError('totp_required', 'This requires a code of the second factor.');
    if (await this.spendCode(user._id, user.totp, code)) return;
    if (!(await this.spendRecoveryCode(user._id, code, origin))) throw invalidCode();
  }

  private async spendCode(_id: ObjectId, totp: TotpState, code: string): Promise<boolean> {
    const step = await this.findTimeStep(_id, totp, code);
    if (step === undefined) return false;
    const spent = await this.collections.users.updateOne(
      { _id, 'totp.secret.box': totp.secret.box, 'totp.lastStep': { $lt: step } },
      { $set: { 'totp.lastStep': step } },
    );
    return spent.modifiedCount === 1;
  }

  private spendRecoveryCode(_id: ObjectId, code: string, origin: Origin): Promise<boolean> {
    const letters = withoutSeparators(code.toLowerCase());
    const hash = hashToken(`${letters.slice(0, 5)}-${letters.slice(5)}`);
    const filter = { _id, 'totp.recoveryHashes': hash };
    return this.change('user.recovery_code_used', filter, { $pull: { 'totp.recoveryHashes': hash } }, origin);
  }

  /** Returns the time step whose code was given; undefined if the code is wrong. @throws AppError totp_unavailable */
  private async findTimeStep(userId: ObjectId, totp: TotpState, code: string): Promise<number | undefined> {
    const token = withoutSeparators(code);
    if (!/^\d{6}$/.test(token)) return undefined;
    const secret = this.decryptSecret(userId, totp);
    const result = await verify({ secret, token, epochTolerance: CLOCK_TOLERANCE_SECONDS });
    return result.valid && 'timeStep' in result ? result.timeStep : undefined;
  }

  private decryptSecret(userId: ObjectId, { secret }: TotpState): string {
    try {
      return decrypt(this.key, secret, userId.toHexString());
    } catch (error) {
      if (!(error instanceof DecryptionError)) throw error;
      const { reason } = error;
      this.logger.error(
        { userId: userId.toHexString(), reason, encryptedWith: secret.keyId, key: this.key.id },
        reason === 'other_key'
          ? 'the second factor of a user was encrypted with another ENCRYPTION_KEY: restore that key'
          : 'the second factor of a user has been changed in the database',
      );
      throw new AppError(
        'totp_unavailable',
        'The server cannot check codes of this authenticator app. Use a recovery code.',
      );
    }
  }

  /** @throws AppError totp_not_enabled */
  private async changeEnabled(
    action: AuditAction,
    _id: ObjectId,
    update: UpdateFilter<UserDocument>,
    origin: Origin,
  ): Promise<void> {
    const filter = { _id, 'totp.enabledAt': { $type: 'date' } } as const;
    if (await this.change(action, filter, update, origin)) return;
    throw new AppError('totp_not_enabled', 'The second factor is not enabled.');
  }

  /** Changes a user and records it in the audit log. @returns false, with nothing written, if no user matches. */
  private change(
    action: AuditAction,
    filter: { _id: ObjectId } & Filter<UserDocument>,
    update: UpdateFilter<UserDocument>,
    { address }: Origin,
  ): Promise<boolean> {
    return this.transactions.run(async () => {
      const { modifiedCount } = await this.collections.users.updateOne(filter, update);
      if (modifiedCount === 0) return false;
      await this.audit.record({ action, actorId: filter._id, targetId: filter._id, address });
      return true;
    });
  }
}

/** Removes spaces and hyphens: users type codes with or without the separators that apps show. */
function withoutSeparators(code: string): string {
  return code.replace(/[\s-]/g, '');
}

/** Creates recovery codes of 50 random bits, as `xxxxx-xxxxx` in Crockford's base 32. */
function createRecoveryCodes(): { codes: string[]; hashes: string[] } {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  const codes = Array.from({ length: RECOVERY_CODE_COUNT }, () => {
    const letters = [...randomBytes(10)].map((byte) => alphabet[byte % alphabet.length]).join('');
    return `${letters.slice(0, 5)}-${letters.slice(5)}`;
  });
  return { codes, hashes: codes.map(hashToken) };
}

function invalidCode(): AppError {
  return new AppError('totp_invalid', 'The code is wrong or was already used.');
}
