"""A real Apache Kafka without Docker: fetched from Maven Central, run on this machine's loopback address."""

from streamcount.service.broker.folders import default_data_folder
from streamcount.service.broker.jars import fetch_kafka
from streamcount.service.broker.run import run_broker
from streamcount.service.broker.server import Broker, BrokerCancelled

__all__ = ["Broker", "BrokerCancelled", "default_data_folder", "fetch_kafka", "run_broker"]
