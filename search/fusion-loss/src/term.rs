//! The names of the terms.

use crate::error::LossError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One term of the fusion loss. Files and logs hold its name, never its position: the paper and the published code order
/// the terms differently.
///
/// The paper's Figure 1 letters the first fifteen λ_a … λ_o in the order of [`Term::FIFTEEN`]; the mean squares weighed by
/// saliency are drawn there without a letter. Names in files say `masked` for that weighing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// `l1.ir`: mean |F − ir|
    L1Ir,
    /// `l1.vi`: mean |F − vi|
    L1Vi,
    /// `l1.max`: mean |F − max(ir, vi)|
    L1Max,
    /// `l1.ir_masked`: mean |M_ir (F − ir)|, M_ir the saliency of infrared
    L1IrSalient,
    /// `l1.vi_masked`: mean |M_vi (F − vi)|, M_vi that of visible
    L1ViSalient,
    /// `mse.ir`: mean (F − ir)²
    MseIr,
    /// `mse.vi`: mean (F − vi)²
    MseVi,
    /// `mse.max`: mean (F − max(ir, vi))²
    MseMax,
    /// `ssim.ir`: structural dissimilarity to ir
    SsimIr,
    /// `ssim.vi`: structural dissimilarity to vi
    SsimVi,
    /// `grad.ir`: mean |S(F) − S(ir)|, S the Sobel magnitude |gx| + |gy|
    GradIr,
    /// `grad.vi`: mean |S(F) − S(vi)|
    GradVi,
    /// `grad.max`: mean |S(F) − max(S(ir), S(vi))|
    GradMax,
    /// `perceptual.ir`: distance of VGG-16 features to those of ir
    PerceptualIr,
    /// `perceptual.vi`: distance of VGG-16 features to those of vi
    PerceptualVi,
    /// `mse.ir_masked`: mean (M_ir (F − ir))²; searched only by setting
    MseIrSalient,
    /// `mse.vi_masked`: mean (M_vi (F − vi))²; searched only by setting
    MseViSalient,
}

impl Term {
    /// The terms with a weight in the paper, in the order of its letters λ_a … λ_o.
    pub const FIFTEEN: [Term; 15] = [
        Term::L1Ir,
        Term::L1Vi,
        Term::L1Max,
        Term::L1IrSalient,
        Term::L1ViSalient,
        Term::MseIr,
        Term::MseVi,
        Term::MseMax,
        Term::SsimIr,
        Term::SsimVi,
        Term::GradIr,
        Term::GradVi,
        Term::GradMax,
        Term::PerceptualIr,
        Term::PerceptualVi,
    ];

    /// The two terms that are searched only by setting.
    pub const SALIENT_MSE: [Term; 2] = [Term::MseIrSalient, Term::MseViSalient];

    /// Every term.
    pub fn all() -> impl Iterator<Item = Term> {
        Self::FIFTEEN.into_iter().chain(Self::SALIENT_MSE)
    }

    /// The name in files and logs.
    pub fn name(self) -> &'static str {
        match self {
            Term::L1Ir => "l1.ir",
            Term::L1Vi => "l1.vi",
            Term::L1Max => "l1.max",
            Term::L1IrSalient => "l1.ir_masked",
            Term::L1ViSalient => "l1.vi_masked",
            Term::MseIr => "mse.ir",
            Term::MseVi => "mse.vi",
            Term::MseMax => "mse.max",
            Term::SsimIr => "ssim.ir",
            Term::SsimVi => "ssim.vi",
            Term::GradIr => "grad.ir",
            Term::GradVi => "grad.vi",
            Term::GradMax => "grad.max",
            Term::PerceptualIr => "perceptual.ir",
            Term::PerceptualVi => "perceptual.vi",
            Term::MseIrSalient => "mse.ir_masked",
            Term::MseViSalient => "mse.vi_masked",
        }
    }

    /// Whether it needs VGG-16 features.
    pub fn is_perceptual(self) -> bool {
        matches!(self, Term::PerceptualIr | Term::PerceptualVi)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Term {
    type Err = LossError;

    fn from_str(name: &str) -> Result<Self, LossError> {
        Term::all().find(|t| t.name() == name).ok_or_else(|| LossError::UnknownTerm {
            found: name.to_owned(),
            known: Term::all().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Serialize for Term {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn names_are_distinct_and_read_back() {
        let names: BTreeSet<_> = Term::all().map(Term::name).collect();
        assert_eq!(names.len(), 17);
        for term in Term::all() {
            assert_eq!(term.name().parse::<Term>().unwrap(), term);
        }
        assert_eq!(format!("{:>8}|", Term::L1Ir), "   l1.ir|");
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = "l1.all".parse::<Term>().unwrap_err().to_string();
        assert!(error.contains("`l1.all`") && error.contains("perceptual.vi"), "{error}");
    }

    #[test]
    fn terms_are_keys_of_a_map_in_files() {
        let map = BTreeMap::from([(Term::SsimVi, 0.5), (Term::L1Max, 0.25)]);
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(text, r#"{"l1.max":0.25,"ssim.vi":0.5}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<Term, f64>>(&text).unwrap(), map);
    }
}
