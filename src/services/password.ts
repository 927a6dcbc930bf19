import { dictionary } from '@zxcvbn-ts/language-common';
import bcrypt from 'bcrypt';
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

/** Hashes and compares passwords with bcrypt. */
export class PasswordHasher {
  /** A hash of no known password at the same cost: unknown users take as long to refuse as known ones. */
  private decoy: Promise<string> | undefined;

  constructor(private readonly cost: number) {}

  hash(password: string): Promise<string> {
    return bcrypt.hash(password, this.cost);
  }

  /** Takes as long without a hash as with one. */
  async matches(password: string, hash: string | undefined): Promise<boolean> {
    this.decoy ??= bcrypt.hash('no password has this hash', this.cost);
    const result = await bcrypt.compare(password, hash ?? (await this.decoy));
    return result && hash !== undefined;
  }
}
