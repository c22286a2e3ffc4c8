"""Autoscaling configured for the services: Serve's replicas follow their load, and Ray's nodes the replicas."""

from __future__ import annotations

from cluster.deploy.checks.verdict import Live, Verdict, cannot_tell, fails, listed, passes


def services_scale(live: Live) -> Verdict:
    """Pass when each application has a deployment whose replicas follow its load, and its cluster may grow."""
    service = live.api.read("ray.io/v1", "RayService", "serving")
    if service is None:
        return fails("there is no RayService serving", "deploy applications")
    cluster = service["spec"]["rayClusterConfig"]
    grows = any(
        group.get("maxReplicas", 0) > group.get("minReplicas", 0) for group in cluster.get("workerGroupSpecs", ())
    )
    if not (cluster.get("enableInTreeAutoscaling") and grows):
        return fails(
            "the serving cluster cannot grow", "set enableInTreeAutoscaling, and maxReplicas above minReplicas"
        )
    applications = live.system().get("serve", {}).get("applications")
    if applications is None:
        return cannot_tell("Serve does not answer", "deploy status")
    fixed, limits = [], []
    for name, application in sorted(applications.items()):
        ranges = [
            (scaling["min_replicas"], scaling["max_replicas"])
            for one in application.get("deployments", {}).values()
            if (scaling := (one.get("deployment_config") or {}).get("autoscaling_config"))
        ]
        if any(most > least for least, most in ranges):
            limits.append(f"{name} {min(least for least, _ in ranges)} to {max(most for _, most in ranges)}")
        else:
            fixed.append(name)
    if fixed:
        return fails(f"replicas are fixed: {listed(fixed)}", "give it an autoscaling_config (docs/autoscaling.md)")
    return passes(f"replicas: {listed(limits)}; the cluster grows after them")
