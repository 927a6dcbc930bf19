import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist/', 'data/', 'uploads/', 'coverage/', 'packages/embedded-store/__tests__/golden/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts', 'packages/*/src/**/*.ts'],
    ignores: ['src/config/**', 'src/__tests__/**', 'src/scripts/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only config/env.config.ts reads the environment.' },
      ],
    },
  },
  {
    files: ['src/scripts/**', 'bench/**', 'packages/*/bench/**', 'tools/**', '**/__tests__/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['**/__tests__/**', 'bench/chaos/**'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      // Bodies of answers are JSON; what is in them is what the tests are about.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        module: 'writable',
        require: 'readonly',
        __dirname: 'readonly',
      },
    },
  },
  {
    files: ['deploy/health-check.mjs'],
    languageOptions: { globals: { AbortSignal: 'readonly', fetch: 'readonly', setTimeout: 'readonly' } },
  },
  // mongosh runs it.
  { files: ['deploy/compose/mongodb-init.js'], languageOptions: { globals: { db: 'readonly' } } },
  {
    files: ['client/call-page/*.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          ...[
            'URL',
            'URLSearchParams',
            'alert',
            'clearInterval',
            'clearTimeout',
            'console',
            'document',
            'fetch',
            'location',
          ],
          ...['MediaStream', 'navigator', 'performance', 'sessionStorage', 'setInterval', 'setTimeout'],
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
);
