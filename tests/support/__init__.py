"""What the black-box tests share: the server, the cloud's clients, a device, raw MQTT bytes."""
