"""What is different when the suite meets AWS's rules. Each is listed with its reason in docs/conformance.md.

Nothing on disk is touched: a test's module is changed after it was read, and the clients that it uses are subclassed.
"""

import ast
import time
import types

AWS_KEEP_ALIVE_WAIT_S = 50
"""For one and a half times 30 s, the shortest keep-alive that AWS has, and a little more."""

AWS_CONNECT_EVERY_S = 1.05
"""AWS takes one connection per second of a client identifier."""

BASIC_INGEST = "$aws/rules/conformance/"
"""Where AWS lets clients publish among the topics that begin with `$`."""

TOO_DEEP = "deep" + "/deep" * 200
"""A filter that is refused in the SUBACK under every set of limits."""

RETAINED = ("test_retained_messages", "test_retained_message", "test_subscribe_options")
"""Tests that read retained messages back with a filter that has wildcards."""

# What the suite sets when it is started as a program.
SETTINGS = ("topic_prefix", "topics", "wildtopics", "nosubscribe_topics")


def load(path, is_aws):
    """The module of a file with tests, as if it had been started as a program, but without running them."""
    tree = ast.parse(path.read_text(), str(path))
    settings = ast.Module(_settings(tree), type_ignores=[])
    if is_aws:
        expectations = LowerQoS()
        tree = expectations.visit(tree)
        assert expectations.count, f"{path} expects no QoS 2 anywhere: it is not the suite that this was made for"
    module = types.ModuleType(path.stem)
    exec(compile(tree, str(path), "exec"), module.__dict__)
    exec(compile(settings, str(path), "exec"), module.__dict__)
    return module


def _settings(tree):
    starts = [node for node in tree.body if isinstance(node, ast.If) and "__main__" in ast.dump(node.test)]
    return [node for start in starts for node in start.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in SETTINGS]


class LowerQoS(ast.NodeTransformer):
    """Expects 1 where the suite expects a message to come with QoS 2."""

    def __init__(self):
        self.count = 0

    def visit_Compare(self, node):
        node = self.generic_visit(node)
        if isinstance(node.ops[0], ast.In) and getattr(node.comparators[0], "id", None) == "qoss":
            node.left = self._lowered(node.left)
        elif _is_qos_of_a_message(node.left):
            node.comparators = [self._lowered(expected) for expected in node.comparators]
        return node

    def visit_Call(self, node):
        node = self.generic_visit(node)
        if getattr(node.func, "attr", None) == "assertEqual" and _is_qos_of_a_message(node.args[0]):
            node.args[1] = self._lowered(node.args[1])
        return node

    def _lowered(self, node):
        if not isinstance(node, ast.Constant) or node.value != 2:
            return node
        self.count += 1
        return ast.copy_location(ast.Constant(1), node)


def _is_qos_of_a_message(node):
    """`….messages[N][2]`"""
    return (isinstance(node, ast.Subscript) and getattr(node.slice, "value", None) == 2
            and isinstance(node.value, ast.Subscript) and getattr(node.value.value, "attr", None) == "messages")


def adapt(module, test, is_aws):
    """Changes a loaded module for one of its tests."""
    _refuse_too_deep(module)
    package = module.mqtt_client
    package.Client = _client(package.Client, module, test, is_aws)
    if is_aws:
        module.time = AwsTime()
        if hasattr(module.Test, "waitfor"):
            module.Test.waitfor = _patient(module.Test.waitfor)


def _refuse_too_deep(module):
    module.nosubscribe_topics = (TOO_DEEP,)
    if hasattr(module, "setData"):
        set_data = module.setData

        def and_mine():
            set_data()
            module.nosubscribe_topics = (TOO_DEEP,)

        module.setData = and_mine


def _client(client, module, test, is_aws):
    qos_max = 1 if is_aws else 2

    class Adapted(client):
        connected_at = {}

        def connect(self, *arguments, willQoS=2, **options):
            if is_aws:
                self._wait_for_turn()
            return super().connect(*arguments, willQoS=min(willQoS, qos_max), **options)

        def publish(self, topic, payload, qos=0, **options):
            if topic.startswith("$"):
                topic = BASIC_INGEST + topic[1:]
            return super().publish(topic, payload, min(qos, qos_max), **options)

        def subscribe(self, topics, wanted, **options):
            pairs = [(found, lowered(each)) for topic, each in zip(topics, wanted) for found in filters(topic)]
            return super().subscribe([topic for topic, _ in pairs], [each for _, each in pairs], **options)

        def _wait_for_turn(self):
            last = self.connected_at.get(self.clientid)
            if last is not None:
                time.sleep(max(0, last + AWS_CONNECT_EVERY_S - time.monotonic()))
            self.connected_at[self.clientid] = time.monotonic()

    def lowered(wanted):
        if isinstance(wanted, int):
            return min(wanted, qos_max)
        wanted.QoS = min(wanted.QoS, qos_max)
        return wanted

    def filters(topic):
        if test == "test_dollar_topics":
            return ["#"]
        if is_aws and test in RETAINED and "+" in topic:
            return [known for known in module.topics if known.count("/") == topic.count("/")]
        return [topic]

    return Adapted


class AwsTime:
    """The module `time`, with more patience where a test waits for a keep-alive to run out."""

    def __getattr__(self, name):
        return getattr(time, name)

    @staticmethod
    def sleep(seconds):
        time.sleep(AWS_KEEP_ALIVE_WAIT_S if seconds >= 15 else seconds)


def _patient(wait_for):
    """A test that waits for 10 s waits for a keep-alive to run out."""

    def patient(self, queue, depth, limit):
        wait_for(self, queue, depth, AWS_KEEP_ALIVE_WAIT_S if limit >= 10 else limit)

    return patient
