# A Pin that does nothing and the temperature sensor's ADC: 0.7057 V, which the post's formula makes about 27.2 degrees.


class Pin:
    OUT = 1

    def __init__(self, name, mode):
        pass

    def value(self, level):
        pass


class ADC:
    def __init__(self, channel):
        assert channel == 4, "the RP2040's temperature sensor"

    def read_u16(self):
        return int(0.7057 / 3.3 * 65535)
