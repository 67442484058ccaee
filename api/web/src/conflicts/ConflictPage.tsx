export function ConflictPage() { return null; }
