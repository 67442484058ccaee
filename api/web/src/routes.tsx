import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { Frame } from "./frame/Frame";
import { parseView, type View, writeView } from "./frame/view";
import { Overview } from "./overview/Overview";
import { Empty, Failed, Skeleton } from "./widgets/Answered";

type Context = { onSignOut: () => void };

const root = createRootRouteWithContext<Context>()({
  component: function Root() {
    return <Frame onSignOut={root.useRouteContext().onSignOut} />;
  },
  validateSearch: (search): View => search as View,
  notFoundComponent: () => <Empty title="There is no such page">The address may have a typing error.</Empty>,
  errorComponent: ({ error, reset }) => <Failed title="This page failed" error={error} onRetry={reset} />,
  pendingComponent: () => <Skeleton />,
});

const page = <const P extends string>(path: P, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => root, path, component });

const tree = root.addChildren([
  createRoute({ getParentRoute: () => root, path: "/", component: Overview }),
  page(
    "/records",
    lazyRouteComponent(() => import("./records/RecordsPage"), "RecordsPage"),
  ),
  page(
    "/records/$pfaId",
    lazyRouteComponent(() => import("./records/RecordPage"), "RecordPage"),
  ),
  page(
    "/conflicts",
    lazyRouteComponent(() => import("./conflicts/ConflictsPage"), "ConflictsPage"),
  ),
  page(
    "/conflicts/$conflictId",
    lazyRouteComponent(() => import("./conflicts/ConflictPage"), "ConflictPage"),
  ),
  page(
    "/history",
    lazyRouteComponent(() => import("./history/JobsPage"), "JobsPage"),
  ),
  page(
    "/history/$jobId",
    lazyRouteComponent(() => import("./history/JobPage"), "JobPage"),
  ),
  page(
    "/history/$jobId/rollback",
    lazyRouteComponent(() => import("./history/RollbackPage"), "RollbackPage"),
  ),
  page(
    "/failures",
    lazyRouteComponent(() => import("./failures/FailuresPage"), "FailuresPage"),
  ),
  page(
    "/alerts",
    lazyRouteComponent(() => import("./alerts/AlertsPage"), "AlertsPage"),
  ),
  page(
    "/audit",
    lazyRouteComponent(() => import("./audit/AuditPage"), "AuditPage"),
  ),
  page(
    "/administration",
    lazyRouteComponent(() => import("./administration/AdministrationPage"), "AdministrationPage"),
  ),
]);

/** The router of the dashboard. What a page shows stands in its address. */
export function createDashboardRouter(context: Context) {
  return createRouter({
    routeTree: tree,
    context,
    parseSearch: parseView,
    stringifySearch: writeView,
    defaultPreload: "intent",
    scrollRestoration: true,
  });
}
