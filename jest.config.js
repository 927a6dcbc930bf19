/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/src'],
  testMatch: ['**/__tests__/**/*.test.ts'],
  globalSetup: '<rootDir>/src/__tests__/fixtures/global-setup.ts',
  globalTeardown: '<rootDir>/src/__tests__/fixtures/global-teardown.ts',
  // Types are checked by `npm run check`; here they are only stripped.
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }] },
  testTimeout: 30_000,
};
