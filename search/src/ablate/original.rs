//! The losses that networks were published with, as far as they are made of our terms.
//!
//! Only ratios count, because Adam makes its steps independent of the sum of the weights. What follows each image's content (weights by
//! features, by saliency) stands here by its mean over the two sources.

use caf_fusion_loss::Term;
use caf_net::zoo::network::Network;
use caf_net::zoo::reconet::ReCoNetConfig;
use caf_net::zoo::u2fusion::U2FusionConfig;
use caf_net::zoo::umfusion::UmFusionConfig;
use std::collections::BTreeMap;

/// A loss by its terms.
type Weights = &'static [(Term, f64)];

/// SSIM and 20 times the mean square to both sources, weighted by features of each image, of which half a share each is left.
const U2FUSION: Weights = &[(Term::SsimIr, 0.5), (Term::SsimVi, 0.5), (Term::MseIr, 10.0), (Term::MseVi, 10.0)];

/// Half of 1 − SSIM and the distance to both sources, without the optional maps of information. The two gains have no published value; here
/// they are equal.
const RECONET: Weights = &[(Term::SsimIr, 0.25), (Term::SsimVi, 0.25), (Term::L1Ir, 0.5), (Term::L1Vi, 0.5)];

/// SSIM (in place of MS-SSIM) and 20 times the distance to a mixture by saliency, of which half of each source is left, and 5 times the
/// distance to the larger gradient (by Sobel in place of Laplace).
const UMFUSION: Weights =
    &[(Term::SsimIr, 0.5), (Term::SsimVi, 0.5), (Term::L1Ir, 10.0), (Term::L1Vi, 10.0), (Term::GradMax, 5.0)];

/// All of them, by the kind of network.
const ORIGINALS: [(&str, Weights); 3] =
    [(U2FusionConfig::KIND, U2FUSION), (ReCoNetConfig::KIND, RECONET), (UmFusionConfig::KIND, UMFUSION)];

/// The weights of the loss that a kind of network was published with; none where it is not made of our terms.
pub(super) fn original(kind: &str) -> Option<BTreeMap<Term, f64>> {
    let (_, weights) = ORIGINALS.iter().find(|(known, _)| *known == kind)?;
    Some(weights.iter().copied().collect())
}

/// The kinds that there is one of, for messages.
pub(super) fn known() -> String {
    ORIGINALS.map(|(kind, _)| kind).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::FUSION_NETWORKS;

    #[test]
    fn every_original_is_of_a_network_of_the_zoo_and_weighs_its_terms_once() {
        for (kind, weights) in ORIGINALS {
            assert!(FUSION_NETWORKS.iter().any(|network| network.kind == kind), "{kind}");
            assert_eq!(original(kind).unwrap().len(), weights.len(), "{kind}: a term twice");
            assert!(weights.iter().all(|(_, weight)| *weight > 0.0), "{kind}");
            // Both sources weigh the same.
            let sum = |end: &str| weights.iter().filter(|(t, _)| t.name().ends_with(end)).map(|(_, w)| w).sum::<f64>();
            assert_eq!(sum(".ir"), sum(".vi"), "{kind}");
        }
        assert_eq!(original("caf"), None);
    }
}
