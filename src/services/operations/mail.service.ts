import { createTransport, type Transporter } from 'nodemailer';
import type { Transactions } from '../../db/transaction';
import { AppError } from '../../utils/errors';
import { MAIL_SHOWN, type Logger } from '../../utils/logger';

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

export interface MailOptions {
  smtpUrl: string | undefined;
  from: string;
  /** Whether mail is written to the log if there is no mail server, in development. */
  toLog: boolean;
}

/** How long each step of the communication with the mail server may take. */
const TIMEOUTS_MS = { connectionTimeout: 5000, greetingTimeout: 5000, dnsTimeout: 5000, socketTimeout: 5000 };

/** Sends mail. */
export class MailService {
  private readonly transport: Transporter | undefined;
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly options: MailOptions,
    private readonly transactions: Transactions,
    private readonly logger: Logger,
  ) {
    if (options.smtpUrl !== undefined)
      this.transport = createTransport({ url: options.smtpUrl, ...TIMEOUTS_MS }, { from: options.from });
  }

  /** Whether there is a mail server, so that addresses can be verified. */
  get isConfigured(): boolean {
    return this.transport !== undefined;
  }

  /** Refuses an action that requires mail. @throws AppError mail_unavailable when there is no mail server */
  requireMail(): void {
    if (!this.transport && !this.options.toLog) {
      throw new AppError('mail_unavailable', 'This server cannot send mail (SMTP_URL is not set).');
    }
  }

  /**
   * Composes a mail and sends it, or writes it to the log, after the caller's transaction has committed. The caller does not
   * wait, and failures are logged: neither the duration nor the success may reveal who has an account, and a slow mail
   * server must not delay requests.
   * @param compose returns undefined if there is nothing to send.
   */
  send(compose: () => Promise<Mail | undefined> | Mail): void {
    void this.transactions.afterCommit(() => {
      const work: Promise<void> = this.composeAndDeliver(compose)
        .catch((error: unknown) => this.logger.error({ err: error }, 'mail could not be sent'))
        .finally(() => this.pending.delete(work));
      this.pending.add(work);
      return Promise.resolve();
    });
  }

  private async composeAndDeliver(compose: () => Promise<Mail | undefined> | Mail): Promise<void> {
    const mail = await compose();
    if (!mail) return;
    if (this.transport) await this.transport.sendMail(mail);
    else if (this.options.toLog) this.logger.info({ mail }, MAIL_SHOWN);
  }

  /** Resolves when all mails have been sent or have failed. */
  async stop(): Promise<void> {
    await Promise.all(this.pending);
  }
}
