import { deriveEncryptionKey } from '../../utils/encryption';
import type { AuditModule } from '../audit/module';
import type { Kernel } from '../kernel/module';
import { observeCaches, observeQueue } from '../kernel/observations';
import type { OperationsModule } from '../operations/module';
import { AuthService } from './auth.service';
import { CredentialService } from './credential.service';
import { EmailService } from './email.service';
import { OneTimeTokenService } from './one-time-token.service';
import { PasswordHasher } from './password';
import { PendingChanges } from './pending-changes';
import { RefreshGrace } from './refresh-grace';
import { SessionCache } from './session-cache';
import { SessionRecheck } from './session-recheck';
import { SessionService } from './session.service';
import { TokenService } from './token.service';
import { TotpService } from './totp.service';

export interface IdentitySettings {
  jwtSecret: string;
  previousJwtSecret: string | undefined;
  encryptionKey: string;
  accessTokenSeconds: number;
  refreshTokenSeconds: number;
  bcryptCost: number;
  publicUrl: string;
}

export type IdentityModule = ReturnType<typeof createIdentity>;

export function createIdentity(
  kernel: Kernel,
  { audit }: AuditModule,
  { throttle, mail, maintenance, connections, peers }: OperationsModule,
  settings: IdentitySettings,
) {
  const { collections, transactions, bus, lifecycle, jobs, logger, recheckMs } = kernel;
  const { jwtSecret, previousJwtSecret, accessTokenSeconds, refreshTokenSeconds, encryptionKey } = settings;
  const { publicUrl } = settings;
  const tokens = new TokenService(jwtSecret, previousJwtSecret, accessTokenSeconds);
  const oneTimeTokens = new OneTimeTokenService(collections);
  const passwords = new PasswordHasher(settings.bcryptCost);
  observeQueue(kernel.telemetry, 'password_hashing', passwords.queue);
  const pending = new PendingChanges(collections);
  const totpKey = deriveEncryptionKey(encryptionKey, 'second factor');
  const totp = new TotpService(collections, transactions, audit, totpKey, logger);
  const emails = new EmailService({ ...kernel, mail, tokens: oneTimeTokens, throttle, audit, publicUrl });
  const cache = new SessionCache(collections, bus, recheckMs, kernel.freshness);
  observeCaches(kernel.telemetry, { sessions: cache.sessions, roles: cache.roles });
  const sessions = new SessionService({
    ...kernel,
    tokens,
    audit,
    maintenance,
    cache,
    grace: new RefreshGrace(encryptionKey),
    pending,
    refreshTokenSeconds,
    clock: () => new Date(kernel.clock.now()),
  });
  const sessionRecheck = new SessionRecheck(collections, bus, [connections, peers]);
  const credentials = new CredentialService({
    ...kernel,
    passwords,
    sessions,
    totp,
    emails,
    mail,
    tokens: oneTimeTokens,
    pending,
    throttle,
    audit,
    publicUrl,
  });
  const auth = new AuthService({ ...kernel, passwords, sessions, totp, throttle, emails, maintenance });
  // Where there is one node, it knows of each session that ends.
  if (recheckMs !== undefined) {
    jobs.add({
      name: 'session_recheck',
      intervalMs: recheckMs,
      atStart: false,
      scope: 'node',
      run: (signal) => sessionRecheck.run(signal),
    });
  }
  lifecycle.register('password hashing', passwords);
  return { tokens, sessions, sessionRecheck, emails, credentials, auth };
}
