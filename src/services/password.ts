import { dictionary } from '@zxcvbn-ts/language-common';
import bcrypt from 'bcrypt';
import { MAX_PASSWORD_BYTES } from '../models/user.model';
import { AppError } from '../utils/errors';

const common = new Set<string>(dictionary['passwords-common']);

/** Refuses passwords that are tried first. @throws AppError password_too_common */
export function refuseCommonPassword(password: string, username: string): void {
  const lower = password.toLowerCase();
  const isOneCharacter = new Set(lower).size <= 2;
  if (common.has(lower) || isOneCharacter || lower === username.toLowerCase()) {
    throw new AppError('password_too_common', 'This password is among those that are tried first.');
  }
}

const DECOY = 'no password has this hash';

/** Hashes and compares passwords with bcrypt. */
export class PasswordHasher {
  /** A hash of no known password at the same cost: unknown users take as long to refuse as known ones. */
  private decoy: Promise<string> | undefined;

  constructor(private readonly cost: number) {}

  hash(password: string): Promise<string> {
    return bcrypt.hash(password, this.cost);
  }

  /** Whether a hash was made at another cost than the one that is configured by now. */
  isOutdated(hash: string): boolean {
    return bcrypt.getRounds(hash) !== this.cost;
  }

  /** A refusal takes as long without a hash as with one, unless that was made at a greater cost. */
  async matches(password: string, hash: string | undefined): Promise<boolean> {
    this.decoy ??= bcrypt.hash(DECOY, this.cost);
    const equal = await bcrypt.compare(password, hash ?? (await this.decoy));
    // Of a longer one bcrypt would have compared the beginning.
    const result = equal && hash !== undefined && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES;
    if (!result && hash !== undefined) await this.makeUpFor(bcrypt.getRounds(hash));
    return result;
  }

  /** Each step of the cost doubles the time: one hash of each from the lower one on takes the rest of it. */
  private async makeUpFor(lower: number): Promise<void> {
    for (let cost = lower; cost < this.cost; cost++) await bcrypt.hash(DECOY, cost);
  }
}
