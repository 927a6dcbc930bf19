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

/** Sends mail. */
export class MailService {
  private readonly transport: Transporter | undefined;

  constructor(
    private readonly options: MailOptions,
    private readonly logger: Logger,
  ) {
    if (options.smtpUrl !== undefined)
      this.transport = createTransport(options.smtpUrl, { from: options.from });
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

  /** Sends a mail, or writes it to the log. A failure goes to the log: the caller may not learn who has an account. */
  async send(mail: Mail): Promise<void> {
    if (!this.transport) {
      if (this.options.toLog) this.logger.info({ mail }, 'mail (SMTP_URL is not set)');
      return;
    }
    try {
      await this.transport.sendMail(mail);
    } catch (error) {
      this.logger.error({ err: error, subject: mail.subject }, 'mail could not be sent');
    }
  }
}
