//! The connection to a broker, on a thread of its own: made, kept, made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use caf_runtime::sink::error::SinkError;
use rumqttc::{
    Client, Connection, ConnectionError, Event, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet, QoS,
};

use crate::address::Address;

/// The environment variable that holds the password of the address's user.
pub const PASSWORD: &str = "CAF_MQTT_PASSWORD";
/// What waits for the connection to take it; more is undelivered.
const WAITING: usize = 4;
/// The longest message.
const MOST_BYTES: usize = 16 << 20;
/// How long a broker may take to answer before it counts as not there, seconds.
const CONNECT_S: u64 = 5;
/// A broker that says nothing for one and a half of these times is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Between two attempts: the first pause, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// How long the end of a run waits for what is on its way.
const FAREWELL: Duration = Duration::from_secs(2);

/// Connections made by this program so far.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// A connection that is looked after.
pub struct Link {
    client: Client,
    address: Arc<Address>,
    state: Arc<State>,
    /// Hangs up when the thread ends.
    ended: Receiver<()>,
}

/// What the two threads tell one another.
#[derive(Debug, Default)]
struct State {
    /// The broker has accepted the connection, which has not broken since.
    is_up: AtomicBool,
    /// The run is over.
    is_over: AtomicBool,
}

impl Link {
    /// Begins to connect; `password` is that of the address's user. That the broker is not there is no error: it is tried again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(address: Address, password: &str) -> Result<Self, SinkError> {
        // A broker hangs up on the older of two clients of one name.
        let name = format!("caf-run-{}-{}", std::process::id(), LINKS.fetch_add(1, Ordering::Relaxed));
        let mut options = MqttOptions::new(name, &address.host, address.port);
        options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(MOST_BYTES, MOST_BYTES);
        options.set_last_will(LastWill::new(state_topic(&address), "offline", QoS::AtLeastOnce, true));
        if let Some(user) = &address.user {
            options.set_credentials(user, password);
        }
        let (client, mut connection) = Client::new(options, WAITING);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_S);
        connection.eventloop.set_network_options(network);
        let (address, state) = (Arc::new(address), Arc::new(State::default()));
        let (end, ended) = channel();
        let keeper = Keeper { client: client.clone(), address: Arc::clone(&address), state: Arc::clone(&state) };
        let thread = std::thread::Builder::new().name("mqtt".to_owned()).spawn(move || {
            keeper.keep(connection);
            keeper.state.is_up.store(false, Ordering::Release);
            drop(end);
        });
        thread.map_err(|source| SinkError::Kind { wrong_call: false, source: Box::new(source) })?;
        Ok(Self { client, address, state, ended })
    }

    /// Hands a message over; false when the broker is not there or takes no more.
    pub fn publish(&self, message: Vec<u8>) -> bool {
        self.state.is_up.load(Ordering::Acquire)
            && self.client.try_publish(&self.address.topic, QoS::AtMostOnce, false, message).is_ok()
    }

    /// Says `offline` and hangs up, when the broker is there. It is waited for, but not for long.
    pub fn end(self) {
        self.state.is_over.store(true, Ordering::Release);
        let said = self.client.try_publish(state_topic(&self.address), QoS::AtLeastOnce, true, "offline");
        if said.and_then(|()| self.client.try_disconnect()).is_ok() && self.state.is_up.load(Ordering::Acquire) {
            // Either way the thread is not needed any more: it ends by itself, or with the program.
            let _ = self.ended.recv_timeout(FAREWELL);
        }
    }
}

fn state_topic(address: &Address) -> String {
    format!("{}/state", address.topic)
}

/// The thread that drives the connection.
struct Keeper {
    client: Client,
    address: Arc<Address>,
    state: Arc<State>,
}

impl Keeper {
    fn keep(&self, mut connection: Connection) {
        let Address { host, port, .. } = &*self.address;
        let mut pause = PAUSES[0];
        let mut told = None;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if told.take().is_some() {
                        tracing::warn!("--mqtt {host}:{port}: the broker is there");
                    }
                    pause = PAUSES[0];
                    // The queue is this thread's to empty: it must not wait for room in it.
                    let _ = self.client.try_publish(state_topic(&self.address), QoS::AtLeastOnce, true, "online");
                    self.state.is_up.store(true, Ordering::Release);
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => {}
                Err(error) => {
                    self.state.is_up.store(false, Ordering::Release);
                    if self.state.is_over.load(Ordering::Acquire) {
                        return;
                    }
                    let error = reason(&error);
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(
                            "--mqtt {host}:{port}: no results are delivered until the broker is there: {error}"
                        );
                        told = Some(error);
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSES[1]);
                }
            }
        }
    }
}

/// What has happened, in the words of the field.
fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::NetworkTimeout => format!("it did not answer within {CONNECT_S} s"),
        ConnectionError::ConnectionRefused(code) => format!("it refused the connection ({code:?})"),
        other => other.to_string(),
    }
}
