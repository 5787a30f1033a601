export default [
  { ignores: ["work/"] },
  { rules: { "no-unused-vars": "error", "prefer-const": "error" } },
];
