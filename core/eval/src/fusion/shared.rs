use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// What several metrics need of one image or one triple, computed when first asked for: one value of each type.
#[derive(Default)]
pub(super) struct Shared(RefCell<HashMap<TypeId, Rc<dyn Any>>>);

impl Shared {
    /// The value of this type, made by `make` the first time. `make` may ask for values of other types.
    pub fn get<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let known = self.0.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(Ok(known)) = known.map(Rc::downcast) {
            return known;
        }
        let made = Rc::new(make());
        self.0.borrow_mut().insert(TypeId::of::<T>(), made.clone());
        made
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shared values", self.0.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_also_from_others() {
        let shared = Shared::default();
        let sum = || shared.get(|| *shared.get(|| 2u8) as u32 + 1);
        assert_eq!((*sum(), *sum()), (3, 3));
        assert_eq!(*shared.get::<u8>(|| unreachable!("made before")), 2);
    }
}
