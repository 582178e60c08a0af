//! Does a file fit a network? Everything that does not is listed at once.

use crate::error::WeightsError;
use crate::mismatch::{Differences, Differing, Kind, Mismatch, Misshapen, NonFinite, Untyped, Wanted};
use crate::weights::Weights;
use caf_net::{ParamRole, ParamSpec};
use std::collections::HashMap;

/// Constants may have been stored in half precision: 11 significant bits.
const CONSTANT_TOLERANCE: f32 = 1e-3;

impl Weights {
    /// Compares with what a network needs: names, shapes, element types, finite values, fixed constants.
    ///
    /// # Errors
    /// [`WeightsError::Unfit`] with every difference, not just the first.
    pub fn check(&self, specs: &[ParamSpec]) -> Result<(), WeightsError> {
        Ok(self.compare(specs)?)
    }

    /// [`Weights::check`] with the cause alone, for errors that have more to say.
    pub(crate) fn compare(&self, specs: &[ParamSpec]) -> Result<(), Mismatch> {
        let mut lists = Differences::default();
        let wanted: HashMap<&str, &ParamSpec> = specs.iter().map(|spec| (spec.name.as_str(), spec)).collect();
        for spec in specs {
            match self.get(&spec.name) {
                None => lists.missing.push(Wanted { name: spec.name.clone(), shape: spec.shape.clone() }),
                Some(tensor) if tensor.shape() != spec.shape => lists.misshapen.push(Misshapen {
                    name: spec.name.clone(),
                    expected: spec.shape.clone(),
                    found: tensor.shape().to_vec(),
                }),
                Some(tensor) => {
                    let expected = match spec.role {
                        ParamRole::BatchCount => Kind::Integers,
                        _ => Kind::Floats,
                    };
                    if tensor.dtype().is_float() != (expected == Kind::Floats) {
                        lists.untyped.push(Untyped { name: spec.name.clone(), expected, found: tensor.dtype() });
                    } else if let Ok(values) = tensor.to_f32_vec() {
                        lists.compare_values(spec, &values);
                    }
                }
            }
        }
        lists.extra =
            self.iter().map(|(name, _)| name).filter(|n| !wanted.contains_key(n)).map(str::to_owned).collect();
        if lists == Differences::default() { Ok(()) } else { Err(Mismatch::of(lists)) }
    }
}

impl Differences {
    fn compare_values(&mut self, spec: &ParamSpec, values: &[f32]) {
        let mut bad = values.iter().enumerate().filter(|(_, v)| !v.is_finite()).map(|(i, _)| i);
        if let Some(first) = bad.next() {
            self.non_finite.push(NonFinite { name: spec.name.clone(), count: 1 + bad.count(), first });
            return;
        }
        // A prior is where training begins; only a constant must still be what the network says.
        let constant = spec.given.as_deref().filter(|_| spec.role == ParamRole::Anchors).unwrap_or_default();
        let differs = |(_, (expected, found)): &(usize, (&f32, &f32))| {
            (*expected - *found).abs() > CONSTANT_TOLERANCE * expected.abs().max(1.0)
        };
        if let Some((first, (expected, found))) = constant.iter().zip(values).enumerate().find(differs) {
            self.differing.push(Differing { name: spec.name.clone(), first, expected: *expected, found: *found });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, HostTensor};

    fn spec(name: &str, shape: &[usize], role: ParamRole) -> ParamSpec {
        ParamSpec { name: name.into(), shape: shape.to_vec(), role, given: None }
    }

    fn specs() -> Vec<ParamSpec> {
        let mut anchors = spec("anchors", &[1, 1, 2], ParamRole::Anchors);
        anchors.given = Some(vec![1.25, 10.0]);
        vec![
            spec("w", &[1, 1, 1, 2], ParamRole::ConvWeight),
            spec("b", &[1], ParamRole::ConvBias { fan_in: 2 }),
            spec("n", &[], ParamRole::BatchCount),
            anchors,
        ]
    }

    fn fitting() -> Weights {
        let mut w = Weights::new();
        w.insert("w", HostTensor::from_f32(&[1, 1, 1, 2], &[1.0, 2.0]).unwrap()).unwrap();
        w.insert("b", HostTensor::from_f32(&[1], &[0.5]).unwrap()).unwrap();
        w.insert("n", HostTensor::from_i64(&[], &[3]).unwrap()).unwrap();
        w.insert("anchors", HostTensor::from_f32(&[1, 1, 2], &[1.25, 10.0]).unwrap()).unwrap();
        w
    }

    #[test]
    fn a_fitting_file_passes() {
        fitting().check(&specs()).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_listed_at_once() {
        let mut w = Weights::new();
        w.insert("w", HostTensor::from_f32(&[1, 1, 1, 2], &[f32::NAN, f32::INFINITY]).unwrap()).unwrap();
        w.insert("n", HostTensor::from_f32(&[], &[3.0]).unwrap()).unwrap();
        w.insert("anchors", HostTensor::from_f32(&[1, 1, 2], &[1.25, 13.0]).unwrap()).unwrap();
        w.insert("spare.1", HostTensor::from_f32(&[1], &[0.0]).unwrap()).unwrap();
        w.insert("spare.2", HostTensor::from_f32(&[1], &[0.0]).unwrap()).unwrap();
        let mut specs = specs();
        specs.push(spec("shaped", &[2], ParamRole::NormBias));
        w.insert("shaped", HostTensor::from_f32(&[3], &[0.0; 3]).unwrap()).unwrap();
        let m = w.compare(&specs).unwrap_err();
        assert_eq!(m.missing, [Wanted { name: "b".into(), shape: vec![1] }]);
        assert_eq!(m.extra, ["spare.1", "spare.2"]);
        assert_eq!(m.misshapen, [Misshapen { name: "shaped".into(), expected: vec![2], found: vec![3] }]);
        assert_eq!(m.untyped, [Untyped { name: "n".into(), expected: Kind::Integers, found: DType::F32 }]);
        assert_eq!(m.non_finite, [NonFinite { name: "w".into(), count: 2, first: 0 }]);
        assert_eq!(m.differing, [Differing { name: "anchors".into(), first: 1, expected: 10.0, found: 13.0 }]);
        let text = m.to_string();
        for part in
            ["missing   b [1]", "spare.2", "expected [2], found [3]", "expected integers, found F32", "2 element(s)"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn integers_where_floats_belong_are_found() {
        let mut w = fitting();
        w.replace("b", HostTensor::from_i64(&[1], &[1]).unwrap());
        let m = w.compare(&specs()).unwrap_err();
        assert_eq!(m.untyped, [Untyped { name: "b".into(), expected: Kind::Floats, found: DType::I64 }]);
    }
}
