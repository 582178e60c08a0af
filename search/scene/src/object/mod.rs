//! What stands and moves in the street, each built from a few drawn numbers.

mod bicycle;
mod furniture;
mod person;
mod vehicle;

pub(crate) use bicycle::Bicycle;
pub(crate) use furniture::{Lamp, LampKind, Sign};
pub(crate) use person::{Person, Posture};
pub(crate) use vehicle::{Vehicle, VehicleKind};

use super::Class;
use super::climate::Climate;
use super::light::Light;
use super::model::{Body, Solid};
use super::vector::{Frame, V3, v3};

/// What an object is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Person(Person),
    Vehicle(Vehicle),
    Bicycle(Bicycle),
    Lamp(Lamp),
    Sign(Sign),
}

/// Where an object is at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// At time 0.
    pub start: V3,
    /// Metres a second along x and z.
    pub velocity: [f32; 2],
    /// Which way it faces when it stands.
    pub heading_rad: f32,
    /// Turns back after this many metres.
    pub turns_after_m: Option<f32>,
}

impl Path {
    pub fn standing(start: V3, heading_rad: f32) -> Path {
        Path { start, velocity: [0.0; 2], heading_rad, turns_after_m: None }
    }

    /// Faces the way it moves.
    pub fn moving(start: V3, velocity: [f32; 2]) -> Path {
        let [x, z] = velocity;
        Path { start, velocity, heading_rad: x.atan2(z), turns_after_m: None }
    }

    pub fn speed(&self) -> f32 {
        let [x, z] = self.velocity;
        x.hypot(z)
    }

    /// Position and heading after `t_s` seconds, and the distance covered.
    pub fn at(&self, t_s: f32) -> (Frame, f32) {
        let walked = self.speed() * t_s;
        let (mut along, mut heading) = (walked, self.heading_rad);
        if let Some(length) = self.turns_after_m.filter(|length| *length > 0.0) {
            along = walked.rem_euclid(2.0 * length);
            if along > length {
                along = 2.0 * length - along;
                heading += std::f32::consts::PI;
            }
        }
        let [x, z] = self.velocity;
        let k = if self.speed() > 0.0 { along / self.speed() } else { 0.0 };
        (Frame::new(self.start + v3(x * k, 0.0, z * k), heading), walked)
    }
}

/// One labelled object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub kind: Kind,
    pub path: Path,
}

impl Object {
    pub fn class(&self) -> Class {
        match &self.kind {
            Kind::Person(_) => Class::Person,
            Kind::Vehicle(vehicle) => match vehicle.kind {
                VehicleKind::Truck => Class::Truck,
                VehicleKind::Hatchback | VehicleKind::Saloon | VehicleKind::Estate => Class::Car,
            },
            Kind::Bicycle(_) => Class::Bicycle,
            Kind::Lamp(_) => Class::Lamp,
            Kind::Sign(_) => Class::Sign,
        }
    }

    /// Adds the object's solids and lights at time `t_s`.
    pub fn build(&self, t_s: f32, instance: u16, climate: &Climate, solids: &mut Vec<Solid>, lights: &mut Vec<Light>) {
        let (frame, walked_m) = self.path.at(t_s);
        let mut body = Body { frame, instance, solids };
        match &self.kind {
            Kind::Person(person) => person.build(&mut body, walked_m, climate),
            Kind::Vehicle(vehicle) => vehicle.build(&mut body, climate, lights),
            Kind::Bicycle(bicycle) => bicycle.build(&mut body, climate),
            Kind::Lamp(lamp) => lamp.build(&mut body, climate, lights),
            Kind::Sign(sign) => sign.build(&mut body, climate),
        }
    }
}
