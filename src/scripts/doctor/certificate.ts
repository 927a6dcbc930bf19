import type { Report } from './check';

const DAY_MS = 24 * 60 * 60 * 1000;
/** ACME clients renew certificates 30 days before they expire. */
const SOON_DAYS = 14;

/** Reports a certificate that is valid, and warns when it expires soon. */
export function reportCertificate(name: string, expiresAt: Date, report: Report, now = Date.now()): void {
  const days = Math.floor((expiresAt.getTime() - now) / DAY_MS);
  const message = `the certificate of ${name} is valid for ${days} more days`;
  if (days >= SOON_DAYS) report('ok', message);
  else report('warning', message, 'Renew it, and check why that does not happen by itself.');
}
