import { MongoBulkWriteError, MongoNetworkError, MongoServerSelectionError } from 'mongodb';
import { AppError, ERROR_STATUS, statusOf, toPublicError, type ErrorCode } from '../../utils/errors';

test('an error of the catalogue shows its code, message and details', () => {
  const error = new AppError('validation_failed', 'name: too long', [{ path: 'name' }]);
  expect(toPublicError(error)).toEqual({
    code: 'validation_failed',
    message: 'name: too long',
    details: [{ path: 'name' }],
  });
  expect(statusOf(error)).toBe(400);
});

test('a temporary error contains the whole seconds until a retry', () => {
  expect(toPublicError(new AppError('slow_mode', 'wait', undefined, 2.2)).retryAfter).toBe(3);
  expect(toPublicError(new AppError('rate_limited', 'wait', undefined, 0)).retryAfter).toBe(1);
  expect(toPublicError(new AppError('unavailable', 'busy')).retryAfter).toBe(5);
  expect(toPublicError(new AppError('forbidden', 'no'))).toEqual({ code: 'forbidden', message: 'no' });
});

test('an error of status 429 always contains the time until a retry', () => {
  const codes = Object.keys(ERROR_STATUS) as ErrorCode[];
  const tooMany = codes.filter((code) => ERROR_STATUS[code] === 429);
  expect(tooMany).toContain('too_many_connections');
  for (const code of tooMany) {
    expect([code, toPublicError(new AppError(code, 'wait')).retryAfter]).toEqual([code, expect.any(Number)]);
  }
});

test('any other error shows nothing of its cause', () => {
  const error = new Error('secret detail');
  expect(toPublicError(error)).toEqual({
    code: 'internal_error',
    message: 'Something went wrong on the server.',
  });
  expect(statusOf(error)).toBe(500);
});

test('an unavailable database is reported as such, so that clients retry', () => {
  const reason = { servers: new Map() } as never;
  const gone = new MongoNetworkError('gone');
  const errors = [
    gone,
    new MongoServerSelectionError('none', reason),
    new MongoBulkWriteError(gone, {} as never),
  ];
  for (const error of errors) {
    expect(toPublicError(error).code).toBe('unavailable');
    expect(toPublicError(error).retryAfter).toBe(5);
    expect(toPublicError(error).message).not.toMatch(/gone|none/);
    expect(statusOf(error)).toBe(503);
  }
});
