//! Rules for logs and metrics that kubelet and kube-proxy share, because both use
//! k8s.io/component-base.
//!
//! Sources: `logs/api/v1` and `metrics` of k8s.io/component-base.

use super::lookup::{Config, items, text};
use super::schema::{Misfit, Step};
use super::{Minor, feature_gates, parse_quantity};
use serde_json::Value;

/// Checks the settings of logs and metrics in `config`, the configuration of either program, for
/// Kubernetes 1.`minor`. The types must have been checked.
pub(super) fn check(config: &Config, minor: Minor) -> Result<(), Misfit> {
    logging(config, minor)?;
    hidden_metrics(config, minor)
}

fn logging(config: &Config, minor: Minor) -> Result<(), Misfit> {
    let Some(logging) = config.get("logging").and_then(Value::as_object) else { return Ok(()) };
    for (index, rule) in items(logging, "vmodule") {
        let pattern = rule.get("filePattern").and_then(Value::as_str).unwrap_or_default();
        if pattern.is_empty() || pattern.contains(['=', ',']) {
            let path =
                ["logging", "vmodule"].map(|step| Step::Key(step.to_owned())).into_iter().chain([Step::Index(index)]);
            let why = "needs a filePattern without \"=\" and \",\"".to_owned();
            return Err(Misfit { path: path.collect(), name: false, why });
        }
        if text(logging, "format") == "json" {
            return Err(Misfit::within(&["logging", "vmodule"], "needs \"format: text\""));
        }
    }
    const GATE: &str = "LoggingAlphaOptions";
    for (format, options) in logging.get("options").and_then(Value::as_object).into_iter().flatten() {
        let split = options.get("splitStream") == Some(&Value::Bool(true));
        let size = options.get("infoBufferSize").and_then(Value::as_str).and_then(parse_quantity);
        if (split || size.is_some_and(|size| size > 0)) && !feature_gates::enabled(config, GATE, minor) {
            return Err(Misfit::within(
                &["logging", "options", format],
                format!("needs \"featureGates: {{{GATE}: true}}\""),
            ));
        }
    }
    Ok(())
}

/// Checks the release whose deprecated metrics are shown: only the previous one is accepted.
fn hidden_metrics(config: &Config, minor: Minor) -> Result<(), Misfit> {
    const FIELD: &str = "showHiddenMetricsForVersion";
    let (version, before) = (text(config, FIELD), format!("1.{}", minor.previous()));
    match version.is_empty() || version == before {
        true => Ok(()),
        false => Err(Misfit::at(FIELD, format!("is {version:?}, and must be {before:?}, the previous release"))),
    }
}
