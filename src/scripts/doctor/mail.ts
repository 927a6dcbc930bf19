import { createTransport } from 'nodemailer';
import { hostOf, isLoopback } from './addresses';
import { messageOf, type Check } from './check';

/** How long each step of the communication with the mail server may take. */
const TIMEOUTS_MS = { connectionTimeout: 5000, greetingTimeout: 5000, dnsTimeout: 5000, socketTimeout: 5000 };

/** Logs in to the mail server. It sends no mail. */
export const mailCheck: Check = {
  group: 'Mail',
  title: 'SMTP',
  settings: ['SMTP_URL', 'MAIL_FROM', 'NODE_ENV'],
  run: async ({ environment, mail: { smtpUrl, from } }, report) => {
    if (smtpUrl === undefined) {
      const message = 'SMTP_URL is not set: passwords cannot be reset by mail';
      if (environment === 'production') report('warning', message, 'Set SMTP_URL to your mail server.');
      else report('skipped', message);
      return;
    }
    const host = hostOf(smtpUrl);
    try {
      await verify(smtpUrl);
    } catch (error) {
      report('error', `the mail server ${host} cannot be used: ${messageOf(error)}`, adviceFor(error));
      return;
    }
    const { username } = new URL(smtpUrl);
    report('ok', `the mail server ${host} accepts ${username ? 'the login' : 'connections'}`);
    if (from.includes('@localhost'))
      report(
        'warning',
        `MAIL_FROM is ${from}, which other mail servers refuse`,
        'Set it to an address of your domain.',
      );
    if (smtpUrl.startsWith('smtps:')) return;
    try {
      await verify(smtpUrl, { requireTLS: true });
      report('ok', 'the connection to the mail server is encrypted (STARTTLS)');
    } catch {
      if (isLoopback(new URL(smtpUrl).hostname)) return;
      const advice = 'Use smtps:// with port 465, or a mail server with STARTTLS.';
      report('warning', `the connection to the mail server ${host} is not encrypted`, advice);
    }
  },
};

async function verify(url: string, options: { requireTLS?: boolean } = {}): Promise<void> {
  const transport = createTransport({ url, ...TIMEOUTS_MS, ...options });
  try {
    await transport.verify();
  } finally {
    transport.close();
  }
}

function adviceFor(error: unknown): string {
  switch ((error as { code?: string }).code) {
    case 'EAUTH':
    case 'ENOAUTH':
      return 'The user or the password in SMTP_URL is wrong. Special characters in it must be percent-encoded.';
    case 'ETLS':
    case 'ESOCKET':
      return 'Check its certificate and the port: 465 with smtps://, 587 with smtp://.';
    case 'EDNS':
      return 'Check the host name in SMTP_URL.';
    default:
      return 'Check host and port in SMTP_URL, and the firewall.';
  }
}
