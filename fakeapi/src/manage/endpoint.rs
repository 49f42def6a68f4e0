//! Where a cluster's address is written.

use super::seen::{Endpoint, SeenCluster};

/// Where a Cluster wants its address to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a place of its own")]
pub(super) struct Destinations {
    /// `spec.controlPlaneEndpoint` of the infrastructure cluster.
    pub(super) infrastructure: bool,
    /// The variable of the Cluster's topology.
    pub(super) topology: bool,
    /// ConfigMap `<cluster>-endpoint`.
    pub(super) config_map: bool,
    /// An annotation of the Cluster.
    pub(super) annotation: bool,
}

impl Destinations {
    /// What the annotation says; without one, the topology's variable where there is one, else the
    /// infrastructure cluster.
    ///
    /// # Errors
    /// The word that names no destination.
    pub(super) fn read(annotation: Option<&str>, has_variable: bool) -> Result<Self, String> {
        let Some(text) = annotation else {
            return Ok(Self {
                infrastructure: !has_variable,
                topology: has_variable,
                ..Self::default()
            });
        };
        let mut these = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "infrastructure" => these.infrastructure = true,
                "topology" => these.topology = true,
                "configmap" => these.config_map = true,
                "annotation" => these.annotation = true,
                "none" => {}
                other => return Err(other.to_owned()),
            }
        }
        Ok(these)
    }
}

/// The address that a Cluster's objects ask for already.
///
/// The Cluster's own field counts first: its kubeconfig and its clients use that. What the
/// infrastructure cluster or the topology says would become it.
pub(super) fn wanted(cluster: &SeenCluster, infrastructure: Endpoint) -> Endpoint {
    let variable = cluster.variable.unwrap_or(Endpoint::Empty);
    let said = [cluster.endpoint, variable, infrastructure];
    said.into_iter().find(|endpoint| !endpoint.is_open()).unwrap_or(Endpoint::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_says_where_and_without_it_the_cluster_does() {
        let none = Destinations::default();
        for (annotation, has_variable, wanted) in [
            (None, false, Ok(Destinations { infrastructure: true, ..none })),
            (None, true, Ok(Destinations { topology: true, ..none })),
            (Some("none"), true, Ok(none)),
            (Some(""), false, Ok(none)),
            (
                Some("configmap, annotation"),
                false,
                Ok(Destinations { config_map: true, annotation: true, ..none }),
            ),
            (
                Some("infrastructure,topology"),
                false,
                Ok(Destinations { infrastructure: true, topology: true, ..none }),
            ),
            (Some("infrastucture"), false, Err("infrastucture".to_owned())),
        ] {
            assert_eq!(Destinations::read(annotation, has_variable), wanted, "{annotation:?}");
        }
    }
}
