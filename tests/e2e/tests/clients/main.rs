//! The broker with clients that others wrote: the libraries paho-mqtt
//! (Python) and mqtt.js (Node), and mosquitto's command line clients.
//!
//! The scenarios are written once for both libraries (`scenarios`), which are
//! driven through a script each (`driver`, `clients/`). `make test` installs
//! the clients and says where they are; without them the tests fail.

mod driver;
mod login;
mod mosquitto;
mod mqtt_js;
mod paho;
mod scenarios;
mod shipped_configuration;
mod transports;
