export function RollbackPage() { return null; }
