import { createTransport, type Transporter } from 'nodemailer';
import { AppError } from '../utils/errors';
import type { Logger } from '../utils/logger';

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

export interface MailOptions {
  smtpUrl: string | undefined;
  from: string;
  /** Whether mail may go to the log for want of a mail server: in development. */
  toLog: boolean;
}

/** How long a mail server may keep Parley waiting at any point, in milliseconds. */
const TIMEOUTS = { connectionTimeout: 5000, greetingTimeout: 5000, dnsTimeout: 5000, socketTimeout: 5000 };

/** Sends mail. */
export class MailService {
  private readonly transport: Transporter | undefined;
  private readonly underWay = new Set<Promise<void>>();

  constructor(
    private readonly options: MailOptions,
    private readonly logger: Logger,
  ) {
    if (options.smtpUrl !== undefined)
      this.transport = createTransport({ url: options.smtpUrl, ...TIMEOUTS }, { from: options.from });
  }

  /** Whether there is a mail server, so that addresses can be verified. */
  get isConfigured(): boolean {
    return this.transport !== undefined;
  }

  /** @throws AppError mail_unavailable when there is no mail server. For what cannot go on without mail. */
  requireMail(): void {
    if (!this.transport && !this.options.toLog) {
      throw new AppError('mail_unavailable', 'This server cannot send mail (SMTP_URL is not set).');
    }
  }

  /**
   * Sends a mail, or writes it to the log. It is not waited for, and a failure goes to the log: neither may
   * tell the caller who has an account, and a slow mail server holds nobody up.
   */
  send(mail: Mail): void {
    if (!this.transport) {
      if (this.options.toLog) this.logger.info({ mail }, 'mail (SMTP_URL is not set)');
      return;
    }
    const sending: Promise<void> = this.transport
      .sendMail(mail)
      .then(
        () => undefined,
        (error: unknown) =>
          this.logger.error({ err: error, subject: mail.subject }, 'mail could not be sent'),
      )
      .finally(() => this.underWay.delete(sending));
    this.underWay.add(sending);
  }

  /** Resolves when no mail is under way any more. */
  async close(): Promise<void> {
    await Promise.all(this.underWay);
  }
}
