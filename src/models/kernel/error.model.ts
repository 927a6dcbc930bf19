import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from '../../utils/errors';

export const ERROR_CODES = Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]];

const errorFields = {
  code: z.enum(ERROR_CODES).meta({ description: 'Stable; clients may switch on it.' }),
  message: z.string().meta({ description: 'For people; it may change.' }),
  details: z.unknown().optional(),
  retryAfter: z.number().int().min(1).optional().meta({
    description:
      'Seconds after which to try again, where that can help; over REST also in the header Retry-After.',
  }),
};

/** The error in the acknowledgement of a socket event, and in `data` of a `connect_error`. */
export const acknowledgedError = z.strictObject(errorFields).meta({ id: 'AcknowledgedError' });

/** The body of every REST answer that is not a success. */
export const errorReply = z
  .strictObject({
    error: z.strictObject({
      ...errorFields,
      requestId: z.string().meta({ description: 'Also in the header X-Request-Id and in the server log.' }),
    }),
  })
  .meta({ id: 'Error' });
