import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from '../../utils/errors';

export const ERROR_CODES = Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]];

const errorFields = {
  code: z.enum(ERROR_CODES).meta({ description: 'Stable; clients may depend on it.' }),
  message: z.string().meta({ description: 'A description for people; it may change.' }),
  details: z.unknown().optional(),
  retryAfter: z.number().int().min(1).optional().meta({
    description:
      'The number of seconds after which a retry may succeed. REST answers also have it in the header Retry-After.',
  }),
};

/** The error in the acknowledgement of a socket event, and in `data` of a `connect_error`. */
export const acknowledgedError = z.strictObject(errorFields).meta({ id: 'AcknowledgedError' });

/** The body of every REST error. */
export const errorReply = z
  .strictObject({
    error: z.strictObject({
      ...errorFields,
      requestId: z.string().meta({
        description: 'The id of the request, which is also in the header X-Request-Id and in the server log.',
      }),
    }),
  })
  .meta({ id: 'Error' });
