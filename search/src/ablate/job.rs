//! The jobs of a study, and their order.

use super::contender::{Contender, Source};
use super::study::{Protocol, Study};
use std::fmt;

/// What tells a job from the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Name of the method.
    pub method: String,
    /// Seed; none where the result is the same for all.
    pub seed: Option<u64>,
    /// Protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.method)?;
        self.seed.map_or(Ok(()), |seed| write!(f, " seed {seed}"))
    }
}

/// A row that is to be measured.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The method.
    pub contender: &'a Contender,
    /// Seed; none where the result is the same for all.
    pub seed: Option<u64>,
    /// Protocol.
    pub protocol: Protocol,
}

impl Job<'_> {
    /// What tells it from the others.
    pub fn key(&self) -> Key {
        Key { method: self.contender.name.clone(), seed: self.seed, protocol: self.protocol }
    }

    /// Name of the folder that it shares with the jobs that see the same fused images.
    pub(super) fn cell(&self) -> String {
        match self.seed.filter(|_| self.contender.is_trained()) {
            Some(seed) => format!("{}.s{seed}", self.contender.name),
            None => self.contender.name.clone(),
        }
    }

    /// How much work it is: iterations of trainings and images to fuse. For the time left, which need not be exact.
    pub(super) fn steps(&self, study: &Study, pairs: Pairs) -> u64 {
        let (task, fused) = match self.protocol {
            Protocol::P1 => (0, pairs.val),
            Protocol::P2 => (study.p2.iterations, pairs.train + pairs.val),
        };
        // A network that P1 has trained serves P2.
        let first = study.protocols.iter().all(|p| *p >= self.protocol) || self.protocol == Protocol::P1;
        let own = match &self.contender.source {
            Source::Image(_) => return task as u64 + 1,
            Source::Network(_) => 0,
            Source::Beta(_) if first => study.fusion.iterations,
            Source::Search(search) if first => {
                let config = study.search_config(search, 1, study.data.clone(), self.contender.network.as_ref());
                study.fusion.iterations + config.map_or(0, |config| config.run.end(pairs.train / 2))
            }
            Source::Beta(_) | Source::Search(_) => 0,
        };
        (own + task + fused) as u64
    }
}

/// Numbers of pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pairs {
    /// Learned from.
    pub train: usize,
    /// Measured on.
    pub val: usize,
}

/// All jobs: the first seed of everything, by the first protocol first, then the next. What is the same for all seeds is measured once.
pub fn jobs<'a>(study: &Study, contenders: &'a [Contender]) -> Vec<Job<'a>> {
    let mut all = Vec::new();
    for (i, seed) in study.seeds.iter().enumerate() {
        for protocol in study.protocols.iter().copied() {
            for contender in contenders {
                let differs = contender.is_trained() || protocol == Protocol::P2;
                if differs || i == 0 {
                    all.push(Job { contender, seed: differs.then_some(*seed), protocol });
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn the_first_seed_of_everything_comes_first_and_what_no_seed_changes_once() {
        let set =
            ["seeds=[7, 8]", "protocols=[\"p1\", \"p2\"]", "methods=[\"max\", \"only:l1.ir\"]"].map(str::to_owned);
        let study: Study = load(None, &set).unwrap();
        let all = study.contenders().unwrap();
        let jobs = jobs(&study, &all);
        let names: Vec<String> = jobs.iter().map(|job| job.key().to_string()).collect();
        let first = ["p1 max", "p1 l1.ir seed 7", "p2 max seed 7", "p2 l1.ir seed 7"];
        assert_eq!(names, [&first[..], &["p1 l1.ir seed 8", "p2 max seed 8", "p2 l1.ir seed 8"]].concat());
        let cells: Vec<String> = jobs.iter().map(Job::cell).collect();
        assert_eq!(cells, ["max", "l1.ir.s7", "max", "l1.ir.s7", "l1.ir.s8", "max", "l1.ir.s8"]);
        // The network that P1 trains serves P2.
        let pairs = Pairs { train: 30, val: 10 };
        let steps: Vec<u64> = jobs.iter().take(4).map(|job| job.steps(&study, pairs)).collect();
        let (fusion, task) = (study.fusion.iterations as u64, study.p2.iterations as u64);
        assert_eq!(steps, [1, fusion + 10, task + 1, task + 40]);
    }
}
